export * from "./client.js";
export type * from "./messages.js";
export { ResumableStream } from "./resume.js";
export type { Answer, CloseFrame, Frame } from "./resume.js";
export * from "./state.js";
export * from "./text.js";
