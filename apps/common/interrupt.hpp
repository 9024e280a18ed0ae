/// @file
/// Ctrl-C, taken as a wish to stop at the next good moment.
#pragma once

namespace common {

/// From now on the first SIGINT or SIGTERM is only noted; the next one ends the program at once.
void note_interrupts();

/// The signal that was noted, or 0.
[[nodiscard]] int interrupted();

}  // namespace common
