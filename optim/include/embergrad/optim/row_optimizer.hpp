/// @file
/// RowOptimizer: optimizers with rules from outside the library.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/optim/optimizer_of.hpp>
#include <embergrad/row_rule.hpp>

namespace embergrad::optim {

namespace detail {

// What Rule::step and Rule::idle are called with, by the number of slots.
template <class Rule, class T, class Slots>
struct RuleCalls;
template <class Rule, class T, std::size_t... slot>
struct RuleCalls<Rule, T, std::index_sequence<slot...>> {
  using Options = typename Rule::Options;
  template <std::size_t>
  using Row = std::span<T>;

  static constexpr bool has_step = requires(const Options& o, Row<0> row, std::span<const T> grad, std::int64_t t) {
    Rule::step(o, row, grad, Row<slot>{}..., t);
  };
  static constexpr bool has_idle = requires(const Options& o, Row<0> row, std::int64_t t) {
    Rule::idle(o, row, Row<slot>{}..., t, t);
  };
  static std::span<T> numbers(T* values, std::int64_t size) { return {values, static_cast<std::size_t>(size)}; }
  static void step(const Options& o, const embergrad::detail::RuledRow<T>& row, std::span<const T> grad,
                   std::int64_t t) {
    Rule::step(o, numbers(row.row, row.size), grad, numbers(row.slots[slot], row.size)..., t);
  }
  static void idle(const Options& o, const embergrad::detail::RuledRow<T>& row, std::int64_t from, std::int64_t to) {
    Rule::idle(o, numbers(row.row, row.size), numbers(row.slots[slot], row.size)..., from, to);
  }
};

// Whether a rule has anything named idle: then there are two, and the name is ambiguous.
struct SomethingNamedIdle {
  void idle();
};
template <class Rule>
struct RuleAndSomething : Rule, SomethingNamedIdle {};
template <class Rule>
inline constexpr bool names_idle = !requires {
  &RuleAndSomething<Rule>::idle;
};

// A rule under one set of options.
template <class Rule>
class RowRuleOf final : public embergrad::detail::RowRule {
  using Options = typename Rule::Options;
  using Slots = std::make_index_sequence<Rule::slots.size()>;
  template <class T>
  using Calls = RuleCalls<Rule, T, Slots>;
  template <class T>
  using Row = embergrad::detail::RuledRow<T>;

  static_assert(Rule::slots.size() <= 3, "a rule keeps at most three rows beside one");
  static_assert(Calls<float>::has_step && Calls<double>::has_step,
                "Rule::step(const Options&, std::span<T> row, std::span<const T> grad, std::span<T> for each slot …, "
                "std::int64_t t) is there for T = float and double");
  static_assert(!names_idle<Rule> || (Calls<float>::has_idle && Calls<double>::has_idle),
                "Rule::idle, if there is one, is idle(const Options&, std::span<T> row, std::span<T> for each slot …, "
                "std::int64_t from, std::int64_t to) for T = float and double");

 public:
  explicit RowRuleOf(const Options& options) : options_(options) {}

  // Options that were not changed. A difference in padding makes another object, which does no harm.
  [[nodiscard]] bool is_for(const Options& options) const {
    return std::memcmp(&options, &options_, sizeof(Options)) == 0;
  }
  void step(const Row<float>& row, std::int64_t t) const override { step_any(row, t); }
  void step(const Row<double>& row, std::int64_t t) const override { step_any(row, t); }
  void idle(const Row<float>& row, std::int64_t from, std::int64_t to) const override { idle_any(row, from, to); }
  void idle(const Row<double>& row, std::int64_t from, std::int64_t to) const override { idle_any(row, from, to); }
  [[nodiscard]] bool replays() const override { return !names_idle<Rule>; }

 private:
  template <class T>
  void step_any(const Row<T>& row, std::int64_t t) const {
    const auto size = static_cast<std::size_t>(row.size);
    Calls<T>::step(options_, row, row.grad == nullptr ? zeros<T>(size) : std::span<const T>(row.grad, size), t);
  }
  template <class T>
  void idle_any(const Row<T>& row, std::int64_t from, std::int64_t to) const {
    if constexpr (names_idle<Rule>) {
      Calls<T>::idle(options_, row, from, to);
    } else {
      for (std::int64_t t = from + 1; t <= to; ++t) step_any(row, t);
    }
  }
  template <class T>
  static std::span<const T> zeros(std::size_t size) {
    thread_local std::vector<T> values;
    if (values.size() < size) values.resize(size);
    return {values.data(), size};
  }

  Options options_;
};

}  // namespace detail

/// An optimizer of one's own: `Rule` says what a gradient does to a row, and this class does the rest, as for the
/// library's own optimizers: groups, schedules, the three modes of `Updates`, frozen rows, state, checkpoints. A rule
/// is a type at namespace scope:
/// @code
/// struct SignMomentum {
///   struct Options {
///     double lr = 1e-3;
///     double momentum = 0.9;
///     optim::Updates updates = optim::Updates::exact;
///     static void fields(auto& options, const auto& field) {  // all but `updates`
///       field("lr", options.lr);
///       field("momentum", options.momentum);
///     }
///   };
///   static constexpr const char* name = "SignMomentum";
///   static constexpr std::array slots{"momentum_buffer"};
///
///   template <class T>
///   static void step(const Options& o, std::span<T> row, std::span<const T> grad, std::span<T> b, int64_t t) {
///     for (std::size_t i = 0; i < row.size(); ++i) {
///       b[i] = static_cast<T>(o.momentum) * b[i] + grad[i];
///       row[i] -= static_cast<T>(o.lr) * (b[i] > 0 ? T(1) : b[i] < 0 ? T(-1) : T(0));
///     }
///   }
/// };
/// using SignSGD = optim::RowOptimizer<SignMomentum>;
/// @endcode
/// - `Options`: an aggregate of `double`, `bool` and `Betas` with defaults, `lr` among them, and `updates`. `fields`
///   names them for printing, saving and schedulers. `static std::vector<std::string> problems(const Options&)`, if it
///   is there, lists what is wrong with some: they are refused.
/// - `slots`: the names of up to three tensors that are kept beside a parameter; they begin as zeros. With none,
///   `std::array<const char*, 0>`.
/// - `step`: changes a row and what is kept beside it, given its gradient; t = 1, 2, … counts the parameter's steps. T
/// is
///   double for float64, else float. What is no table (rank 0 or 1) is one row; above rank 2, size(0) rows.
/// - `idle(options, row, slots…, from, to)`, if it is there: what the steps from + 1 … to do without a gradient under
///   these options. `Updates::exact` calls it once for a row's idle time, or once for each change of options. Without
///   it, idle steps are replayed: `step` with a gradient of zeros, to the bit what dense training does, at Θ(rows) a
///   step.
/// Both are called by several threads at once, once for each row, and must not throw. They run on the CPU alone:
/// `step()` throws a DeviceError for a parameter that is elsewhere.
template <class Rule>
class RowOptimizer : public OptimizerOf<typename Rule::Options> {
 public:
  /// The rule's.
  using Options = typename Rule::Options;
  /// Parameters and their options.
  using Group = typename OptimizerOf<Options>::Group;

  /// One group. ValueError for invalid options, for no parameters, and for ones that are undefined, no leaves or given
  /// twice; DTypeError unless they are floating.
  explicit RowOptimizer(const std::vector<Tensor>& params, const Options& options = {})
      : RowOptimizer(std::vector<Group>{{.params = params, .options = options}}) {}
  /// Several groups, each with options of its own.
  explicit RowOptimizer(const std::vector<Group>& groups)
      : OptimizerOf<Options>(
            {.name = Rule::name, .slots = Rule::slots, .counts_steps = true, .always = Rule::slots.size()}, groups),
        rules_(groups.size()) {
    if (this->find_number(0, "lr") == nullptr) throw ValueError(std::string(Rule::name) + ": fields must name lr");
  }

 private:
  static_assert(std::is_trivially_copyable_v<Options>, "options are plain numbers");
  static_assert(
      requires(Options o) {
        { (o.lr) } -> std::same_as<double&>;
        { (o.updates) } -> std::same_as<Updates&>;
      },
      "options have a double lr and an optim::Updates updates");

  [[nodiscard]] std::shared_ptr<const embergrad::detail::RowRule> row_rule(std::size_t group) const override {
    auto& rule = rules_[group];
    if (rule == nullptr || !rule->is_for(this->options(group))) {
      rule = std::make_shared<const detail::RowRuleOf<Rule>>(this->options(group));
    }
    return rule;
  }

  mutable std::vector<std::shared_ptr<const detail::RowRuleOf<Rule>>> rules_;
};

}  // namespace embergrad::optim
