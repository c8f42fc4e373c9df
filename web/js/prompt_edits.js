// What a click makes of a prompt's text. Scripts without spaces between words get none.

const UNSPACED = /[\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef]/
const LETTER = /[\p{L}\p{N}_]/u
const isSpaced = (letter) => LETTER.test(letter) && !UNSPACED.test(letter)

/**
 * A prompt with words in place of its characters start..end, and spaces around them where words would run together.
 * @returns {{text: string, cursor: number}} the cursor stands behind the words
 */
export function inserted(prompt, start, end, words) {
  const before = prompt.slice(0, start)
  const after = prompt.slice(end)
  const last = before.at(-1) ?? ' '
  const first = words[0] === '@' ? 'a' : words[0] // a tag begins a word
  const apart = !/[\s([{"'\u201c\u2018-]/.test(last) && !UNSPACED.test(last) && !UNSPACED.test(first)
  const head = `${before}${apart ? ' ' : ''}${words}`
  const joins = isSpaced(after[0] ?? ' ') && isSpaced(words.at(-1))
  return { text: `${head}${joins ? ' ' : ''}${after}`, cursor: head.length }
}

/**
 * A prompt with `near` exchanged for `words` where it first stands as a whole.
 * @returns {{text: string, cursor: number} | undefined} undefined where it does not stand in it
 */
export function exchanged(prompt, near, words) {
  const joined = (a, b) => isSpaced(a ?? ' ') && isSpaced(b ?? ' ')
  for (let at = prompt.indexOf(near); at >= 0; at = prompt.indexOf(near, at + 1)) {
    const end = at + near.length
    if (joined(prompt[at - 1], near[0]) || joined(near.at(-1), prompt[end])) continue
    return { text: prompt.slice(0, at) + words + prompt.slice(end), cursor: at + words.length }
  }
  return undefined
}
