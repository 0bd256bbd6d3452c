// For type checking only: the worker serves the module of the package `marked` under this name.

export { Lexer } from "marked";
