// The figures on top, and how the connection is.

const KEPT = 60; // points of the little curve: a minute

export class Strip {
  #rates = [];
  #find;
  #said = "";

  // find(id) gives an element.
  constructor(find) {
    this.#find = find;
  }

  figures(stats) {
    this.#write("words", stats.words_per_second.toFixed(stats.words_per_second < 100 ? 1 : 0));
    this.#write("flips", stats.flips_per_word?.toFixed(3) ?? "–");
    this.#write("recomputed", stats.words_recomputed_per_word?.toFixed(2) ?? "–");
    const lag = [];
    if (stats.lag_messages != null) lag.push(`${stats.lag_messages} msg`);
    if (stats.lag_seconds != null) lag.push(`${stats.lag_seconds.toFixed(1)} s`);
    this.#write("lag", lag.join(" · ") || "–");
    this.#curve(stats.words_per_second);
  }

  // name: connecting, live or lost; seconds: until the next try.
  state(name, seconds) {
    const words = { connecting: "connecting", live: "live", lost: `lost, again in ${Math.ceil(seconds)} s` }[name];
    if (this.#find("state").dataset.state === "lost" && name === "connecting") return; // still lost, to a reader
    this.#find("state").dataset.state = name;
    this.#write("state", words);
    // Read aloud when it changes between there and not there: nothing else of this page is.
    const aloud = { live: "Connected", lost: "Connection lost" }[name];
    if (aloud && aloud !== this.#said) this.#write("said", (this.#said = aloud));
  }

  #write(id, text) {
    const element = this.#find(id);
    if (element.textContent !== text) element.textContent = text;
  }

  #curve(rate) {
    this.#rates = [...this.#rates, rate].slice(-KEPT);
    const top = Math.max(1, ...this.#rates);
    const first = KEPT - this.#rates.length;
    const line = this.#rates.map((x, i) => `${first + i},${(15 - (14 * x) / top).toFixed(1)}`).join(" ");
    this.#find("spark").firstElementChild.setAttribute("points", line);
  }
}
