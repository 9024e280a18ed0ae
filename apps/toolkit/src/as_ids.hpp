/// @file
/// Lists that are held, as views.
#pragma once

#include <embergrad/text/bags.hpp>
#include <vector>

namespace embergrad::text {

/// One view a list.
inline std::vector<Ids> as_ids(const std::vector<std::vector<int64_t>>& lists) { return {lists.begin(), lists.end()}; }

}  // namespace embergrad::text
