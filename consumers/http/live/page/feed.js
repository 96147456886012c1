// The connection: comes back by itself, ever more patiently, and says how it is.

const FIRST = 500;
const LONGEST = 15000;
const SILENCE = 5000; // figures come once a second: who says nothing for so long is not there

export class Feed {
  #address;
  #frame;
  #state;
  #socket = null;
  #wish = null; // the frame that says what this page wants to see
  #tries = 0;
  #timer = 0;
  #silence = 0;

  // frame(object): something came; state(name, seconds until the next try).
  constructor(address, frame, state) {
    this.#address = address;
    this.#frame = frame;
    this.#state = state;
    addEventListener("online", () => this.#now());
    document.addEventListener("visibilitychange", () => document.hidden || this.#now());
  }

  connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#state("connecting", 0);
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.onopen = () => {
      this.#say();
      this.#listen();
    };
    socket.onmessage = (event) => {
      if (this.#socket !== socket) return;
      this.#tries = 0;
      this.#state("live", 0);
      this.#listen();
      this.#frame(JSON.parse(event.data));
    };
    socket.onclose = () => this.#socket === socket && this.#lost();
    this.#listen();
  }

  watch(session) {
    this.ask({ type: "watch", session });
  }

  // Said now, and again whenever the connection is back.
  ask(frame) {
    this.#wish = frame;
    this.#say();
  }

  #say() {
    if (this.#wish && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(this.#wish));
  }

  #listen() {
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#silence = setTimeout(() => {
      if (this.#socket !== socket) return;
      this.#lost();
      socket.close();
    }, SILENCE);
  }

  #lost() {
    this.#socket = null;
    clearTimeout(this.#silence);
    const wait = Math.min(LONGEST, FIRST * 1.7 ** this.#tries) * (0.8 + 0.4 * Math.random());
    this.#tries += 1;
    this.#state("lost", wait / 1000);
    this.#timer = setTimeout(() => this.connect(), wait);
    this.#ask();
  }

  // A browser does not say why a WebSocket was refused. If it is because nobody has logged in, the page leads there.
  async #ask() {
    const answer = await fetch("page/page.css", { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) location.reload();
  }

  // Somebody looks, or the network is back: do not make them wait.
  #now() {
    if (this.#timer) this.connect();
  }
}
