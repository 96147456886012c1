// A client of a server: live text over its WebSocket, which is made again when it breaks. In browsers and in Node.

import type { Message, Revision, ServerError, WordTime } from "./messages.js";
import { ResumableStream } from "./resume.js";
import type { Answer, Frame } from "./resume.js";
import { sessionOf } from "./state.js";
import type { LiveSession, LiveState } from "./state.js";

export interface ClientOptions {
  /** The server's token; it is exchanged for a ticket, which opens one WebSocket. Better have your server do that. */
  token?: string;
  /** Gives a ticket for each connection, instead of a token: from the server behind the page. */
  ticket?: () => Promise<string>;
  /** "revisions", or "redacted" for the redacted stream of a server that redacts. */
  output?: "revisions" | "redacted";
  /** How long a server that cannot be reached is tried again, in seconds. */
  reconnectSeconds?: number;
  /** Called with each answer and each error instead of keeping it for iteration. */
  onAnswer?: (answer: Answer | ServerError) => void;
  /** Where there is none (Node 20 and older), or another one. */
  WebSocket?: typeof WebSocket;
}

export interface UpdateOptions {
  final?: boolean;
  time?: number;
  words?: readonly WordTime[];
  speaker?: string;
  channel?: string;
}

/** A server that refuses a message or a connection, or that cannot be reached. */
export class ServerRefused extends Error {
  constructor(
    readonly reason: string,
    readonly detail: string,
    /** Number of the client's message, from 0; null if it is about no single one. */
    readonly frame: number | null = null,
  ) {
    super(frame === null ? `${reason}: ${detail}` : `message ${frame}: ${reason}: ${detail}`);
    this.name = "ServerRefused";
  }
}

const DONE = 1000;
const BAD_QUERY = "bad_query";
const IDLE = 4410;
const UNREACHABLE = "unreachable";
const BUSY = [429, 502, 503, 504];

/** Client of a server: iterate over it for revisions (or messages of the redacted stream), until the end. */
export class Client implements AsyncIterable<Answer> {
  /** Number of connections that were made. */
  connections = 0;
  readonly #url: URL;
  readonly #options: ClientOptions;
  readonly #protocol: ResumableStream;
  #socket: WebSocket | null = null;
  #answers: (Answer | ServerError)[] = [];
  #readers: (() => void)[] = [];
  #over: ServerRefused | "done" | null = null;
  #idle = false;
  #running = false;

  constructor(url: string | URL, options: ClientOptions = {}) {
    this.#url = new URL(url);
    this.#options = options;
    this.#protocol = new ResumableStream(options.output === "redacted");
  }

  /** Texts, standing spans, settled and redacted text of all sessions, as far as answers have come. */
  get state(): LiveState {
    return this.#protocol.state;
  }

  /** Write the text of a session; its open segments close with it, or with the client. */
  stream(session = "stream"): TextWriter {
    return new TextWriter(session, this);
  }

  /** Send a message in normal form; gives its number, which revisions name as their `offset`. */
  send(message: Message): number {
    if (this.#over instanceof ServerRefused) throw this.#over;
    const frame = this.#protocol.send(message);
    const number = this.#protocol.sent - 1;
    this.#give(this.#protocol.takeAnswers());
    this.#want();
    if (frame !== null) this.#transmit(frame);
    return number;
  }

  /** End all sessions; iteration ends after the last answer. */
  end(): void {
    if (this.#over instanceof ServerRefused) throw this.#over;
    if (this.#protocol.finished) return;
    const frame = this.#protocol.finish();
    this.#want();
    this.#transmit(frame);
  }

  /** Disconnect at once: open sessions end on the server, and answers that have not come are lost. */
  close(): void {
    this.#over ??= "done";
    this.#socket?.close();
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Answer> {
    for (;;) {
      for (let x = this.#answers.shift(); x !== undefined; x = this.#answers.shift()) {
        if (x.type === "error") throw new ServerRefused(x.reason, x.detail, x.frame ?? null);
        yield x;
      }
      if (this.#over instanceof ServerRefused) throw this.#over;
      if (this.#over !== null) return;
      await new Promise<void>((resolve) => this.#readers.push(resolve));
    }
  }

  #give(answers: readonly (Answer | ServerError)[]): void {
    if (this.#options.onAnswer) answers.forEach(this.#options.onAnswer);
    else this.#answers.push(...answers);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#readers.splice(0)) wake();
  }

  #transmit(frame: Frame): void {
    // one that breaks is made again, and what was not answered is sent again
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  // Be connected, now that there is something to send.
  #want(): void {
    this.#idle = false;
    if (this.#running || this.#over !== null) return;
    this.#running = true;
    this.#run()
      .catch((error: unknown) => (this.#over = error instanceof ServerRefused ? error : explain(error)))
      .finally(() => {
        this.#running = false;
        this.#wake();
      });
  }

  async #run(): Promise<void> {
    const until = (): number => Date.now() + 1000 * (this.#options.reconnectSeconds ?? 60);
    let [pause, deadline] = [50, until()];
    while (this.#over === null && !this.#idle) {
      let socket: WebSocket;
      try {
        socket = await this.#open();
      } catch (error) {
        const refused = error instanceof ServerRefused && error.reason !== UNREACHABLE;
        if (refused || Date.now() + pause > deadline) throw error;
        // Clients that lost the same server do not come back at the same moment.
        await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)));
        pause = Math.min(2 * pause, 5000);
        continue;
      }
      const code = await this.#serve(socket);
      if (code === DONE && this.#protocol.finished) this.#over ??= "done";
      this.#idle = code === IDLE && !this.#protocol.finished;
      [pause, deadline] = [50, until()];
    }
  }

  async #open(): Promise<WebSocket> {
    const address = new URL("v1/stream", this.#url);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("output", this.#options.output ?? "revisions");
    const ticket = await this.#ticket();
    if (ticket !== null) address.searchParams.set("ticket", ticket);
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    const socket = new Socket(address);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = socket.onclose = () => reject(new ServerRefused(UNREACHABLE, `no WebSocket at ${address.host}`));
    });
    this.connections += 1;
    return socket;
  }

  async #ticket(): Promise<string | null> {
    const { ticket, token } = this.#options;
    if (ticket) return ticket();
    if (token === undefined) return null;
    const address = new URL("v1/ticket", this.#url);
    address.protocol = address.protocol.replace("ws", "http");
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(address, { method: "POST", headers }).catch((error: unknown) => {
      throw explain(error);
    });
    if (BUSY.includes(answer.status)) throw new ServerRefused(UNREACHABLE, `status ${answer.status}`);
    const body = (await answer.json()) as { ticket?: string; error?: string; detail?: string };
    if (body.ticket === undefined) throw new ServerRefused(body.error ?? "no_ticket", body.detail ?? "see docs/http.md");
    return body.ticket;
  }

  // Use a connection until it is closed; gives the code.
  #serve(socket: WebSocket): Promise<number> {
    return new Promise((resolve, reject) => {
      let refusal: ServerError | null = null;
      socket.onmessage = ({ data }: MessageEvent<string>) => {
        const answer = JSON.parse(data) as Answer | ServerError;
        if (answer.type === "error" && answer.reason === BAD_QUERY) {
          refusal = answer;
          return;
        }
        const news = this.#protocol.receive(answer);
        if (news !== null) this.#give([news]);
      };
      socket.onerror = null;
      socket.onclose = ({ code }: CloseEvent) => {
        this.#socket = null;
        if (refusal !== null) reject(new ServerRefused(refusal.reason, refusal.detail));
        else resolve(code);
      };
      const frames = this.#protocol.resume();
      this.#socket = socket;
      this.#give(this.#protocol.takeAnswers());
      for (const frame of frames) this.#transmit(frame);
      if (this.#over !== null) socket.close();
    });
  }
}

const explain = (error: unknown): ServerRefused =>
  new ServerRefused(UNREACHABLE, error instanceof Error ? error.message : String(error));

/** Writes the messages of one session; segments that are not named are numbered from "1". */
export class TextWriter {
  /** The segment that text without a name belongs to; null: the next text opens one. */
  current: string | null = null;
  #opened = 0;

  constructor(
    readonly name: string,
    private readonly client: Pick<Client, "send" | "state">,
  ) {}

  /** State of this session, as far as answers have come. */
  get session(): LiveSession {
    return sessionOf(this.client.state, this.name);
  }

  /** Set the text of a segment, as a recogniser's interim results do. */
  replace(text: string, segment?: string, options: UpdateOptions = {}): number {
    return this.#write({ text, mode: "replace" }, segment, options);
  }

  /** Add text, with its spaces, to the end of a segment, as the tokens of a language model come. */
  append(text: string, segment?: string, options: Omit<UpdateOptions, "words"> = {}): number {
    return this.#write({ text, mode: "append" }, segment, options);
  }

  /** Close a segment with the text that it has; by default the one that is being written. */
  close(segment?: string): number {
    if (segment === undefined && this.current === null) throw new Error("no segment is open: there is nothing to close");
    return this.append("", segment, { final: true });
  }

  /** Remove a segment, as the source of a chat does. */
  delete(segment: string): number {
    if (this.current === segment) this.current = null;
    return this.client.send({ type: "delete", session: this.name, segment });
  }

  /** End the session: its open segments close. */
  end(): number {
    this.current = null;
    return this.client.send({ type: "end", session: this.name });
  }

  #write(update: { text: string; mode: "replace" | "append" }, segment?: string, options: UpdateOptions = {}): number {
    const name = segment ?? this.current ?? String(this.#opened + 1);
    const number = this.client.send({ type: "update", session: this.name, segment: name, ...update, ...options });
    if (name === String(this.#opened + 1)) this.#opened += 1;
    if (!options.final) this.current = name;
    else if (this.current === name) this.current = null;
    return number;
  }
}

/** Whether an answer is a revision: the others are of the redacted stream. */
export const isRevision = (answer: Answer): answer is Revision => answer.type === "revision";
