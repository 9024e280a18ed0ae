// kernels/visit.hpp under the CPU room's name.
#pragma once

#include "kernels/visit.hpp"

namespace embergrad::cpu {

using embergrad::visit;
using embergrad::visit_floating;
using embergrad::visit_index;
using embergrad::visit_numbers;
using embergrad::visit_table;

}  // namespace embergrad::cpu
