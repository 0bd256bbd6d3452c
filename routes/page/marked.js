// Stands for the package `marked`, whose own module is served under this name.

export { Lexer } from "marked";
