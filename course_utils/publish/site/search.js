// The search page: sections that hold all words, chapters before pages before the API.
const WEIGHT = { chapter: 2, page: 0.4, api: 0.3 };
const AROUND = 90; // letters of an excerpt on either side of the word

function excerpt(text, words) {
  const any = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const found = new RegExp(any, "iu").exec(text);
  const at = found ? found.index : 0;
  const start = Math.max(0, at - AROUND), end = at + AROUND;
  const part = document.createElement("p");
  part.append((start ? "… " : "") + text.slice(start, at));
  if (found) {
    const mark = document.createElement("mark");
    mark.textContent = found[0];
    part.append(mark, text.slice(at + found[0].length, end));
  }
  part.append(end < text.length ? " …" : "");
  return part;
}

function item(hit) {
  const entry = document.createElement("li"), link = document.createElement("a");
  link.href = `${hit.page}.html${hit.anchor ? `#${hit.anchor}` : ""}`;
  link.textContent = hit.title.startsWith(hit.of) ? hit.title : `${hit.of}: ${hit.title}`;
  entry.append(link, excerpt(hit.text, hit.terms));
  return entry;
}

const index = new MiniSearch({
  fields: ["title", "text"],
  storeFields: ["page", "anchor", "of", "title", "text", "kind"],
});
index.addAll(SECTIONS.map((section, id) => ({ id, ...section })));
const asked = (new URLSearchParams(location.search).get("q") || "").trim();
for (const field of document.querySelectorAll("input[name=q]")) field.value = asked;
if (asked) {
  const hits = index.search(asked, {
    boost: { title: 3 },
    boostDocument: (_id, _term, stored) => WEIGHT[stored.kind],
    combineWith: "AND",
    fuzzy: 0.1,
    prefix: true,
  });
  const told = hits.length === 1 ? "One section" : `${hits.length || "No"} sections`;
  document.querySelector("#search-count").textContent = `${told} with “${asked}”.`;
  document.querySelector("#search-results").append(...hits.slice(0, 40).map(item));
}
