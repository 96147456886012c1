// Which taggers there are, what their labels look like, and which of them are shown.

import { slotOf } from "./labels.js";

export class Legend {
  #box;
  #changed;
  #known = "";
  taggers = [];
  hidden = new Set();

  // changed(): other taggers, or others are shown.
  constructor(box, changed) {
    this.#box = box;
    this.#changed = changed;
    box.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.toggle(this.taggers.indexOf(button.tagger));
    });
  }

  update(taggers, labels) {
    const known = JSON.stringify([taggers, labels]);
    if (known === this.#known) return;
    this.#known = known;
    this.taggers = taggers;
    this.#box.replaceChildren(...taggers.map((tagger) => this.#button(tagger, labels[tagger] ?? [])));
    this.#changed();
  }

  toggle(number) {
    const tagger = this.taggers[number];
    if (tagger === undefined) return;
    if (!this.hidden.delete(tagger)) this.hidden.add(tagger);
    this.#box.children[number].setAttribute("aria-pressed", String(!this.hidden.has(tagger)));
    this.#changed();
  }

  #button(tagger, labels) {
    const button = document.createElement("button");
    button.type = "button";
    button.tagger = tagger;
    button.setAttribute("aria-pressed", String(!this.hidden.has(tagger)));
    const name = document.createElement("b");
    name.textContent = tagger;
    button.append(name, ...[...labels].sort().map((label) => {
      const sample = document.createElement("span");
      sample.className = "sample";
      sample.dataset.slot = slotOf(label);
      sample.textContent = label;
      return sample;
    }));
    return button;
  }
}
