// Which words of a prompt belong to whom, by whole words: what the user sees while typing. What counts in the end are the
// tokens of the text encoder; the node's own picture shows those after a run.

const TAG = /@@|(?<![\p{L}\p{N}_])@([\p{L}\p{N}_]+)(?:\.([\p{L}\p{N}_]+))?/gu

const escaped = (words) => words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

function places(text, words) {
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])${escaped(words)}(?![\\p{L}\\p{N}_])`, 'gu')
  return [...text.matchAll(pattern)].map((match) => [match.index, match.index + words.length])
}

function tagged(match, phrases) {
  const [, who, what] = match
  const name = who.toLowerCase()
  const heads = phrases.filter((phrase) => !phrase.part)
  const head =
    heads.find((phrase) => phrase.tag?.toLowerCase() === name) ??
    heads.find((phrase) => phrase.number === name) ??
    heads.find((phrase) => !phrase.number && phrase.words.toLowerCase().replaceAll(/\s+/g, '_') === name)
  if (!head || !what) return head
  const parts = phrases.filter((phrase) => phrase.part && phrase.owner === head.owner)
  const part = what.toLowerCase()
  return (
    parts.find((phrase) => phrase.tag?.toLowerCase() === part) ??
    parts.find((phrase) => ` ${phrase.words.toLowerCase()}`.endsWith(` ${part}`))
  )
}

/**
 * The owned places of a prompt.
 * @param {string} text the prompt
 * @param {{words: string, owner: number, number?: string, part?: boolean, tag?: string, occurrence?: number}[]} phrases
 *   in model order; number: "1", "2", ... of a subject's name; part: an attribute; occurrence: 0 or a count from 1
 * @returns {{spans: {start: number, end: number, phrase: object}[], missing: object[]}} spans in order, none overlapping, and
 *   the phrases that own nothing
 */
export function ownedWords(text, phrases) {
  const spans = []
  const taken = (start, end) => spans.some((span) => start < span.end && span.start < end)
  const byTag = new Set()
  for (const match of text.matchAll(TAG)) {
    const phrase = match[1] === undefined ? undefined : tagged(match, phrases)
    if (!phrase) continue
    byTag.add(phrase)
    spans.push({ start: match.index, end: match.index + match[0].length, phrase })
  }
  const open = phrases.filter((phrase) => phrase.words && !byTag.has(phrase))
  const words = [...new Set(open.map((phrase) => phrase.words))].sort((a, b) => b.length - a.length)
  for (const each of words) {
    const free = places(text, each)
      .map((place, index) => ({ place, count: index + 1 }))
      .filter(({ place }) => !taken(...place))
    const owners = open.filter((phrase) => phrase.words === each)
    const claim = (found, phrase) => {
      if (!found) return
      free.splice(free.indexOf(found), 1)
      spans.push({ start: found.place[0], end: found.place[1], phrase })
    }
    for (const phrase of owners.filter((phrase) => phrase.occurrence))
      claim(free.find((found) => found.count === phrase.occurrence), phrase)
    const rest = owners.filter((phrase) => !phrase.occurrence)
    if (owners.length === 1 && rest.length === 1) for (const found of [...free]) claim(found, rest[0])
    else for (const phrase of rest) claim(free[0], phrase)
  }
  const owning = new Set(spans.map((span) => span.phrase))
  return {
    spans: spans.sort((a, b) => a.start - b.start),
    missing: phrases.filter((phrase) => phrase.words && !owning.has(phrase))
  }
}
