  // Corrections of clips, by mouse and by keys. Nothing leaves the page but the file that "save" writes.
  const reviewed = new Map() // clip -> {data, state, touched, draw}
  let saved = true, current = null, chosen = -1

  const make = (tag, text = "", attributes = {}) => {
    const element = document.createElement(tag)
    element.textContent = text
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
    return element
  }
  const button = (text, key, pressed, act, kind = "") => {
    const element = make("button", text, { type: "button", class: kind, "aria-pressed": pressed })
    if (key) element.append(make("kbd", key))
    element.addEventListener("click", act)
    return element
  }
  const choice = (options, value, act, label) => {
    const element = make("select", "", { "aria-label": label })
    for (const [key, text] of options) element.append(make("option", text, { value: key }))
    element.value = value
    element.addEventListener("change", () => { act(element.value); element.blur() })
    return element
  }
  const phraseState = (one, number) => {
    const found = one.state.phrases.find((phrase) => phrase.phrase === number)
    if (found) return found
    const fresh = { phrase: number, verdict: "", owner: null, words: "" }
    one.state.phrases.push(fresh)
    return fresh
  }
  const change = (one, act) => {
    act(one.state)
    one.touched = true
    saved = false
    one.draw()
    count()
  }
  const toggle = (holder, verdict) => { holder.verdict = holder.verdict === verdict ? "" : verdict }
  const peopleOf = (one) => (one.state.people.length ? one.state.people : one.data.people)
  const exchange = (one, mention, track) => change(one, (state) => {
    const people = [...peopleOf(one)]
    const other = people.indexOf(track)
    if (other >= 0) people[other] = people[mention]
    people[mention] = track
    state.people = people
  })
  const turn = (one) => { // everybody gets the next one's name
    const people = peopleOf(one)
    if (people.length > 1) change(one, (state) => { state.people = [...people.slice(1), people[0]] })
  }
  const words = (one, phrase) => {
    const before = phraseState(one, phrase.number).words || phrase.text
    const typed = prompt("The words of the caption, as they stand there:\n" + one.data.caption, before)
    if (typed === null || !typed.trim()) return
    if (!one.data.caption.includes(typed.trim())) return alert("These words do not stand in the caption, word for word.")
    change(one, () => { phraseState(one, phrase.number).words = typed.trim() === phrase.text ? "" : typed.trim() })
  }
  const nextOwner = (one, phrase) => {
    if (phrase.owner === null) return
    const now = phraseState(one, phrase.number).owner ?? phrase.owner
    change(one, () => { phraseState(one, phrase.number).owner = (now + 1) % one.data.mentions.length })
  }
  const clear = (one) => change(one, () => { one.state = { verdict: "", people: [], phrases: [] } })

  const drawControls = (one) => {
    const { data, state, box } = one
    const all = make("div", "", { class: "row" })
    all.append(
      button("accept all", "a", state.verdict === "accept", () => change(one, (s) => toggle(s, "accept")), "yes"),
      button("reject clip", "r", state.verdict === "reject", () => change(one, (s) => toggle(s, "reject")), "no"),
      button("clear", "u", false, () => clear(one)),
    )
    if (data.mentions.length > 1) all.append(button("exchange people", "s", false, () => turn(one)))
    if (one.touched) all.append(make("span", "changed", { class: "changed" }))
    const rows = [all]
    const people = peopleOf(one)
    data.mentions.forEach((name, mention) => {
      const row = make("div", "", { class: "row" })
      const tracks = Array.from({ length: data.tracks }, (_, track) => [track, "person " + (track + 1)])
      row.append(make("span", "", { class: "number" }), make("span", name, { class: "words" }), make("span", "is"),
        choice([["", "nobody"], ...tracks], people[mention] ?? "", (value) => exchange(one, mention, value === "" ? null : Number(value)), "who " + name + " is"))
      rows.push(row)
    })
    data.phrases.forEach((phrase, place) => {
      const said = state.phrases.find((item) => item.phrase === phrase.number) ?? { verdict: "", owner: null, words: "" }
      const row = make("div", "", { class: "row phrase" + (one === current && place === chosen ? " chosen" : ""), "data-phrase": phrase.number })
      row.append(make("span", place + 1, { class: "number" }), make("span", said.words || phrase.text, { class: "words" }))
      if (phrase.owner !== null)
        row.append(make("span", "of"), choice(data.mentions.map((name, mention) => [mention, name + " (" + (mention + 1) + ")"]), said.owner ?? phrase.owner,
          (value) => change(one, () => { phraseState(one, phrase.number).owner = Number(value) }), "owner of " + phrase.text))
      else row.append(make("span", phrase.kind, { class: "quiet" }))
      row.append(
        button("right", "y", said.verdict === "accept", () => change(one, () => toggle(phraseState(one, phrase.number), "accept")), "yes"),
        button("wrong", "x", said.verdict === "reject", () => change(one, () => toggle(phraseState(one, phrase.number), "reject")), "no"),
        button("words", "e", false, () => words(one, phrase)),
        make("span", phrase.status.replace("_", " "), { class: "quiet" }))
      row.addEventListener("click", () => { if (one !== current || chosen !== place) { go(one, false); chosen = place; one.draw() } })
      rows.push(row)
    })
    box.replaceChildren(...rows)
  }
  const go = (one, scroll = true) => {
    const before = current
    current = one
    chosen = -1
    for (const article of document.querySelectorAll("article")) article.classList.toggle("current", article.id === one.data.clip)
    if (before && before !== one) before.draw()
    one.draw()
    if (scroll) document.getElementById(one.data.clip).scrollIntoView({ block: "start" })
  }
  const visible = () => [...reviewed.values()].filter((one) => !document.getElementById(one.data.clip).hidden)
  const step = (by) => {
    const shown = visible()
    if (shown.length) go(shown[Math.max(0, Math.min(shown.length - 1, current ? shown.indexOf(current) + by : 0))])
  }
  const lines = () => [...reviewed.values()].filter((one) => one.touched).map((one) => JSON.stringify({
    clip: one.data.clip, basis: one.data.basis, verdict: one.state.verdict, people: one.state.people,
    phrases: one.state.phrases.filter((phrase) => phrase.verdict || phrase.owner !== null || phrase.words),
  }) + "\n")
  const count = () => { document.getElementById("changes").textContent = lines().length + " clips changed" }
  const save = () => {
    const link = make("a", "", { download: "corrections.jsonl" })
    link.href = URL.createObjectURL(new Blob([lines().join("")], { type: "application/x-ndjson" }))
    link.click()
    saved = true
  }
  for (const source of document.querySelectorAll("script.clip")) {
    const data = JSON.parse(source.textContent)
    const box = make("div", "", { class: "review" })
    source.parentElement.insertBefore(box, source.parentElement.querySelector("svg.lines"))
    const one = { data, box, state: data.correction ?? { verdict: "", people: [], phrases: [] }, touched: false }
    one.draw = () => drawControls(one)
    reviewed.set(data.clip, one)
    one.draw()
  }
  document.getElementById("save").addEventListener("click", save)
  addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault() })
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input, textarea")) return
    const phrase = current && current.data.phrases[chosen]
    const acts = {
      j: () => step(1), k: () => step(-1), w: save,
      ...(current && {
        a: () => change(current, (state) => toggle(state, "accept")),
        r: () => change(current, (state) => toggle(state, "reject")),
        s: () => turn(current), u: () => clear(current),
      }),
      ...(phrase && {
        y: () => change(current, () => toggle(phraseState(current, phrase.number), "accept")),
        x: () => change(current, () => toggle(phraseState(current, phrase.number), "reject")),
        o: () => nextOwner(current, phrase), e: () => words(current, phrase),
      }),
    }
    const digit = Number(event.key)
    if (current && digit >= 1 && digit <= current.data.phrases.length) { chosen = digit - 1; current.draw() }
    else if (acts[event.key]) acts[event.key]()
    else return
    event.preventDefault()
  })
  count()
