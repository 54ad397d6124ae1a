// SPDX-License-Identifier: Apache-2.0
// Finds sections by words, parts of identifiers and pairs of Chinese characters. It needs no server: the index is a
// script that calls vnetkbSearch(), so it works for files opened from a disk. _ext/vnetkb_docs/search.py makes it; the
// two must cut texts in the same way.
"use strict";

const CJK = "\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff";
const PIECES = new RegExp(`[a-z0-9_]+|[${CJK}]+`, "g");
const IDEOGRAPH = new RegExp(`[${CJK}]`);
const BLANKS = /\s+/g;
const BETWEEN = new RegExp(`(?<=[${CJK}]) (?=[${CJK}])`, "g");
const MOST = 60;
// Chinese pairs reach over the ends of words, so that a place need not have all of them.
const ENOUGH = 0.7;

function stem(word) {
  if (word.length < 5 || /[^a-z]/.test(word)) return word;
  if (word.endsWith("s") && !word.endsWith("ss")) word = word.slice(0, -1);
  for (const end of ["ing", "ed"]) {
    if (word.endsWith(end) && word.length - end.length > 2) {
      word = word.slice(0, -end.length);
      break;
    }
  }
  return word.length > 3 && word.at(-1) === word.at(-2) ? word.slice(0, -1) : word;
}

function terms(query, noise, particles) {
  const found = [];
  for (const piece of query.toLowerCase().replace(particles, "").match(PIECES) || []) {
    if (IDEOGRAPH.test(piece)) {
      if (piece.length === 1) found.push(piece);
      for (let i = 0; i + 1 < piece.length; i++) found.push(piece.slice(i, i + 2));
    } else {
      found.push(stem(piece));
    }
  }
  const telling = found.filter((each) => !noise.has(each));
  return [...new Set(telling.length ? telling : found)];
}

class Index {
  constructor(data) {
    this.sections = data.sections;
    this.words = data.words;
    this.sorted = Object.keys(data.words).sort();
    this.noise = new Set(data.noise);
    this.particles = new RegExp(`[${data.particles}]`, "g");
  }

  // Sections that hold a word, or a word that begins so, with how much that counts.
  holders(word) {
    const found = new Map();
    const add = (key, part) => {
      const list = this.words[key];
      const rarity = Math.log(1 + this.sections.length / (list.length / 2));
      for (let i = 0; i < list.length; i += 2) {
        const score = list[i + 1] * rarity * part;
        if (score > (found.get(list[i]) || 0)) found.set(list[i], score);
      }
    };
    if (Object.hasOwn(this.words, word)) add(word, 1);
    if (word.length > 2 || IDEOGRAPH.test(word)) {
      let low = 0;
      let high = this.sorted.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.sorted[middle] < word) low = middle + 1;
        else high = middle;
      }
      for (; low < this.sorted.length && this.sorted[low].startsWith(word); low++) {
        if (this.sorted[low] !== word) add(this.sorted[low], 0.6 * (word.length / this.sorted[low].length));
      }
    }
    return found;
  }

  find(query) {
    const words = terms(query, this.noise, this.particles);
    const scores = new Map();
    for (const word of words) {
      for (const [section, score] of this.holders(word)) {
        const known = scores.get(section) || { section, words: 0, score: 0 };
        known.words += 1;
        known.score += score;
        scores.set(section, known);
      }
    }
    const phrase = this.plain(query);
    const all = [...scores.values()];
    const most = Math.max(0, ...all.map((each) => each.words));
    const best = all.filter((each) => each.words === most || each.words >= ENOUGH * words.length);
    for (const each of best) {
      const [, names, weight] = this.sections[each.section];
      const title = names[0];
      const headings = names.map((heading) => this.plain(heading));
      if (headings.includes(phrase)) each.score *= 3;
      else if (headings.some((heading) => heading.includes(phrase))) each.score *= 1.6;
      each.score *= weight * (each.words / words.length) ** 3;
      each.score /= 1 + title.length / 200;
    }
    best.sort((a, b) => b.score - a.score || a.section - b.section);
    return { complete: most === words.length && most > 0, found: best };
  }

  plain(text) {
    return text.toLowerCase().replace(this.particles, "").replace(BLANKS, " ").replace(BETWEEN, "").trim();
  }
}

function show(index, query) {
  const state = document.getElementById("kb-search-state");
  const list = document.getElementById("kb-search-results");
  list.replaceChildren();
  if (!query.trim()) {
    state.textContent = state.dataset.hint;
    return;
  }
  const { complete, found } = index.find(query);
  const said = found.length === 0 ? state.dataset.none : complete ? state.dataset.some : state.dataset.any;
  state.textContent = said.replace("{number}", found.length).replace("{words}", query.trim());
  for (const { section } of found.slice(0, MOST)) {
    const [url, [title], , kind, page, text] = index.sections[section];
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = url;
    link.textContent = title;
    const place = document.createElement("span");
    place.className = "kb-search-place";
    place.textContent = [kind, page].filter(Boolean).join(" · ");
    const excerpt = document.createElement("p");
    excerpt.textContent = text;
    item.append(link, place, excerpt);
    list.append(item);
  }
}

// eslint-disable-next-line no-unused-vars
function vnetkbSearch(data) {
  const index = new Index(data);
  const box = document.getElementById("kb-search-words");
  box.value = new URLSearchParams(location.search).get("q") || "";
  show(index, box.value);
  box.addEventListener("input", () => show(index, box.value));
  box.form.addEventListener("submit", (event) => {
    event.preventDefault();
    history.replaceState(null, "", `?q=${encodeURIComponent(box.value)}`);
    show(index, box.value);
  });
}
