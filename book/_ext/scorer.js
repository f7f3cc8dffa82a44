// What comes first in the search: the answer to a topic, then chapters; exercises, solutions and
// the lists of names come last.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  asked: "",
  score: ([page, title, , description, score]) => {
    const name = title.toLowerCase();
    const words = Scorer.asked.split(/\s+/);
    if (description && name === Scorer.asked) score += 60;
    if ((description ?? "").startsWith("topic") && words.every(word => name.includes(word)))
      return score + 40;
    if (description) return score;    // an exercise, or a name, that is called so
    if (/^book\/(exercises|solutions)/.test(page)) return score - 20;
    if (/^book\/(api|results|algebra|notation|bibliography)/.test(page)) return score - 15;
    return /^book\/\d\d-/.test(page) ? score + 5 : score;
  },
};
// What was asked for is not told to the score: remember it when it is read.
queueMicrotask(() => {
  const parse = Search._parseQuery;
  Search._parseQuery = query => {
    Scorer.asked = query.trim().toLowerCase();
    return parse(query);
  };
});
