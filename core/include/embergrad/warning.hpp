/// @file
/// Warnings: what a program should know but need not stop for.
#pragma once

namespace embergrad {

/// Called with a warning's text. May be called by any thread.
using WarningHandler = void (*)(const char* message);

/// Who hears warnings from now on; null silences them. Returns who heard them before. At first: a line on stderr.
WarningHandler set_warning_handler(WarningHandler handler);

namespace detail {
void warn(const char* message);
}  // namespace detail

}  // namespace embergrad
