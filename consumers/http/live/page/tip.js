// What is known of the spans under the pointer, or of the one that has the focus.

const make = (name, className, text = "") => Object.assign(document.createElement(name), { className, textContent: text });

const percent = (x) => `${(100 * x).toFixed(x > 0.995 && x < 1 ? 1 : 0)} %`;

function clock(seconds) {
  const whole = Math.floor(seconds / 60);
  return `${whole}:${(seconds - 60 * whole).toFixed(1).padStart(4, "0")}`;
}

function describe(span, slot) {
  const sure = span.taken ? "taken back" : span.final ? "final" : `${percent(span.stability)} stable`;
  const facts = [["tagger", span.tagger], ["state", sure]];
  if (span.score != null) facts.push(["score", percent(span.score)]);
  if (span.start_time != null) facts.push(["said", `${clock(span.start_time)} – ${clock(span.end_time ?? span.start_time)}`]);
  if (span.speaker) facts.push(["speaker", span.speaker]);
  if (span.channel) facts.push(["channel", span.channel]);
  if (span.was) facts.push(["was", span.was.text ? `${span.was.label}: ${span.was.text}` : span.was.label]);
  const part = make("div", "about");
  const title = part.appendChild(make("p", "label", span.label));
  title.dataset.slot = slot;
  const list = part.appendChild(make("dl", ""));
  for (const [name, value] of facts) list.append(make("dt", "", name), make("dd", "", value));
  return part;
}

export class Tip {
  #box;
  #list;
  #of = null;

  constructor(box, view, list) {
    this.#box = box;
    this.#list = list;
    for (const kind of ["pointerover", "pointermove"]) {
      list.addEventListener(kind, (event) => this.#show(event.target.closest?.(".span") ?? null));
    }
    list.addEventListener("pointerleave", () => this.hide());
    list.addEventListener("focusin", (event) => this.#show(event.target.closest?.(".span") ?? null));
    list.addEventListener("focusout", () => this.hide());
    list.addEventListener("drawn", () => this.#of && !this.#of.isConnected && this.#again());
    view.addEventListener("scroll", () => this.hide(), { passive: true });
  }

  hide() {
    this.#of?.removeAttribute("aria-describedby");
    this.#of = null;
    this.#box.hidden = true;
  }

  #show(mark) {
    if (mark === this.#of) return;
    const marks = [];
    for (let x = mark; x; x = x.parentElement.closest(".span")) marks.push(x);
    this.hide();
    if (!marks.length) return;
    this.#of = mark;
    this.#box.replaceChildren(...marks.map((x) => describe(x.span, x.dataset.slot)));
    this.#box.hidden = false;
    mark.setAttribute("aria-describedby", this.#box.id);
    this.#place(mark.getClientRects()[0] ?? mark.getBoundingClientRect());
  }

  #place(rect) {
    const { offsetWidth: width, offsetHeight: height } = this.#box;
    const left = Math.max(8, Math.min(rect.left, innerWidth - width - 8));
    const below = rect.bottom + 8 + height < innerHeight;
    this.#box.style.left = `${left}px`;
    this.#box.style.top = `${below ? rect.bottom + 8 : Math.max(8, rect.top - height - 20)}px`;
  }

  // The segment was drawn again under the pointer or the focus.
  #again() {
    const { key } = this.#of.dataset;
    const mark = [...this.#list.querySelectorAll("[data-key]")].find((x) => x.dataset.key === key);
    if (mark) this.#show(mark);
    else this.hide();
  }
}
