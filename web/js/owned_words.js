// Which words of a prompt belong to whom, by whole words: what the user sees while typing. What counts in the end are the
// tokens of the text encoder; the node's own picture shows those after a run.

const TAG = /@@|(?<![\p{L}\p{N}_])@([\p{L}\p{N}_]+)(?:\.([\p{L}\p{N}_]+))?/gu

const escaped = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
const slug = (words) => words.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, '_')

/** [start, end] of every match by whole words; if there is none, of those in another case. */
function places(text, words) {
  const inner = words.split(/\s+/).map(escaped).join('\\s+')
  for (const flags of ['gu', 'giu']) {
    const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])${inner}(?![\\p{L}\\p{N}_])`, flags)
    const found = [...text.matchAll(pattern)].map((match) => [match.index, match.index + match[0].length])
    if (found.length) return found
  }
  return []
}

function tagged(match, phrases) {
  const [, who, what] = match
  const name = who.toLowerCase()
  const heads = phrases.filter((phrase) => !phrase.part)
  const head =
    heads.find((phrase) => phrase.tag?.toLowerCase() === name) ??
    heads.find((phrase) => phrase.number === name) ??
    heads.find((phrase) => !phrase.number && slug(phrase.words) === name)
  if (!head || !what) return head
  const parts = phrases.filter((phrase) => phrase.part && phrase.owner === head.owner)
  const part = what.toLowerCase()
  return (
    parts.find((phrase) => phrase.tag?.toLowerCase() === part) ??
    parts.find((phrase) => `_${slug(phrase.words)}`.endsWith(`_${part}`))
  )
}

/**
 * The owned places of a prompt.
 * @param {string} text the prompt
 * @param {{words: string, owner: number, number?: string, part?: boolean, tag?: string, occurrence?: number,
 *   pictureless?: boolean}[]} phrases in model order; number: "1", "2", ... of a subject's name; part: an attribute;
 *   occurrence: 0 or a count from 1; pictureless: the name of a subject without a face, which need not be there
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
    missing: phrases.filter((phrase) => phrase.words && !phrase.pictureless && !owning.has(phrase))
  }
}
