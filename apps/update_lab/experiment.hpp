/// @file
/// Runs of all modes side by side, and what is measured of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "learner.hpp"
#include "results.hpp"
#include "setting.hpp"

namespace lab {

/// Makes the data of a setting for a seed.
using MakeLesson = std::function<std::unique_ptr<Lesson>(const Setting& setting, uint64_t seed)>;

/// Called after each step of each mode.
using StepDone = std::function<void()>;

/// Trains one model a mode on the same steps from the same start and measures them `measurements` times on the way. In
/// between the modes take turns, so that whatever else the machine does meets all of them alike. The clock of a mode
/// runs from zero_grad to the end of the schedule's step: not while data is made ready, nor while models are evaluated
/// and compared. Distances are those from the dense run, if that is among the modes. An interrupt ends it after the
/// present step; what was measured until then is appended all the same.
/// @param updates  modes, each once
void compare_modes(const Setting& setting, const std::vector<Updates>& updates, uint64_t seed,
                   const MakeLesson& make_lesson, const StepDone& done, std::vector<Record>& records);
inline constexpr int64_t measurements = 20;

/// Times steps of all modes for tables of other sizes, as many rows touched as the setting's steps touch, and for other
/// shares of touched rows, on regression tables of the setting's width. An interrupt ends it.
/// @param touched  rows that a step of the setting touches
void sweep(const Setting& setting, const std::vector<Updates>& updates, int64_t touched, uint64_t seed,
           const MakeLesson& make_lesson, std::vector<Record>& records);

/// The modes among `updates` that the setting's optimizer has.
[[nodiscard]] std::vector<Updates> modes_of(const Setting& setting, const std::vector<Updates>& updates);

}  // namespace lab
