/// @file
/// Ctrl-C, taken as a wish to stop at the next good moment.
#pragma once

#include <common/interrupt.hpp>

namespace tagger {

using common::interrupted;
using common::note_interrupts;

}  // namespace tagger
