/// @file
/// Optimizer: what all optimizers have in common.
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <embergrad/row_rule.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/tensor.hpp>

#include <embergrad/optim/updates.hpp>

namespace embergrad::optim {

class Checkpoint;
class LRScheduler;

namespace detail {
struct Deferral;
struct StepPlan;
}  // namespace detail

/// Tensors with names: a `StateDict` or what `nn::Module::named_parameters()` gives converts by itself.
using NamedTensors = std::span<const StateDict::Entry>;

/// Changes parameters along their gradients. Parameters come in groups; each group has a full set of options.
///
/// `step()` looks at everything first: if it throws, nothing was changed. A parameter without a gradient is skipped: no
/// decay, no momentum, no step counted; a gradient of zeros, or a sparse one without rows, is a step. Rows that are
/// frozen (an embedding's padding row) don't move. Parameters of 16 bits are brought to float32, moved, and rounded
/// back; their state is float32. Numbers are those of `torch.optim`, with one addition: float32 moments below 1e-30
/// become 0.
///
/// A sparse gradient costs its own rows, and `Updates` says what becomes of the others. Under `exact` they are brought
/// up to date when they are next read, by whoever reads them: lookups, whole-table ops, copies, saving, raw pointers.
/// The table belongs to the optimizer from its first sparse step on; its destructor, and another optimizer's step,
/// bring all rows up to date. Where idle rows live through their steps one by one, which costs what dense training
/// does, `print` says so, and the first such step warns.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update; false if it was skipped (see set_skip_nonfinite). ShapeError, DTypeError or DeviceError for a gradient
  /// that does not fit its parameter any more; DTypeError and ValueError for a sparse gradient of a table that
  /// `Updates::exact` can't defer: of 16 bits, or a part of a larger storage; OutOfMemory.
  bool step();
  /// Drops the gradients of all parameters. Without `set_to_none`, those that are there become zeros, or sparse ones
  /// without rows: a table that the next step does not use then lives through it, and is not skipped.
  void zero_grad(bool set_to_none = true);

  /// Number of groups.
  [[nodiscard]] std::size_t group_count() const { return group_sizes_.size(); }
  /// The parameters of a group. IndexError if there is no such group, as for all that takes a group.
  [[nodiscard]] std::vector<Tensor> parameters(std::size_t group = 0) const;
  /// The learning rate of a group.
  [[nodiscard]] double lr(std::size_t group = 0) const;
  /// Takes effect at the next step. ValueError if negative or not finite.
  void set_lr(double lr, std::size_t group = 0);
  /// What becomes of idle rows under sparse gradients.
  [[nodiscard]] virtual Updates updates(std::size_t group = 0) const = 0;
  /// Changes that; all rows of the group are brought up to date first. ValueError where there is no choice.
  void set_updates(std::size_t group, Updates updates);
  /// Whether a step is left out as a whole, no step counted, if a gradient holds NaN or an infinity. At first no: they
  /// reach the parameters, as in PyTorch. Looking costs a pass over the gradients.
  void set_skip_nonfinite(bool skip) { skip_nonfinite_ = skip; }
  /// Steps that were left out.
  [[nodiscard]] std::int64_t skipped_steps() const { return skipped_; }
  /// Brings every row of every table up to date. Never needed: whoever reads does so. O(rows · dim).
  void settle_all();
  /// For each row of a table the step, counted by the optimizer's steps of that parameter (where `step` is not saved,
  /// since it was loaded), to which it is up to date; empty if all rows are.
  [[nodiscard]] std::vector<std::int64_t> last_steps(std::size_t parameter) const;
  /// Bytes held to bring idle rows up to date, beyond parameters and their state.
  [[nodiscard]] std::int64_t history_bytes() const;

  /// The learning rate from which schedules start (PyTorch's `initial_lr`): what `lr` was when the first scheduler was
  /// made, or what the last OneCycleLR chose; nothing if there was no scheduler.
  [[nodiscard]] std::optional<double> initial_lr(std::size_t group = 0) const;

  /// A state tensor of a parameter under PyTorch's name (`momentum_buffer`; `step`, `exp_avg`, …: each optimizer says
  /// which); undefined if there is none yet. Parameters are counted over all groups. IndexError if there is
  /// no such parameter, ValueError if this optimizer has no state of that name. All rows are brought up to date; the
  /// tensor is the optimizer's own, and its idle rows are behind again after the next step.
  [[nodiscard]] Tensor state(std::size_t parameter, std::string_view name) const;
  /// Row `row` of such a tensor as dense training would have it: (dim), or (1) where there is one number for a row. A
  /// copy; nothing is brought up to date, O(dim). IndexError for a row outside the table, ShapeError for what has no
  /// rows.
  [[nodiscard]] Tensor state_of_row(std::size_t parameter, std::int64_t row, std::string_view name) const;

  /// All that `load_state_dict` needs to go on as if never stopped: `optimizer.TYPE` (the version of this layout),
  /// `param_groups.GROUP.params` and `param_groups.GROUP.OPTION`, `state.PARAMETER.NAME`. The tensors are the
  /// optimizer's own: save or clone them before the next step.
  [[nodiscard]] StateDict state_dict() const;
  /// The same by the parameters' names instead of numbers, so that it fits wherever the names do, in any order:
  /// `state.PARAMETER.group` stands for `param_groups.GROUP.params`. `parameters` names all parameters of this
  /// optimizer
  /// (`model.state_dict()` does) and may name other tensors too; of several names of one parameter the first is taken.
  /// ValueError for parameters without a name.
  [[nodiscard]] StateDict state_dict(NamedTensors parameters) const;
  /// Takes state and options over (copied). ValueError, with everything that does not fit listed, if it comes from
  /// another type of optimizer, has other groups, names or shapes, or invalid options; nothing is changed then.
  void load_state_dict(const StateDict& state);
  /// Takes over what `state_dict(parameters)` gave.
  void load_state_dict(const StateDict& state, NamedTensors parameters);

  /// "SGD", "Adam", …
  [[nodiscard]] const char* name() const { return layout_.name; }
  /// Writes the type and, group by group, how many parameters it has and its options; and where a sparse gradient of a
  /// table would cost as much as a dense one, because idle rows live through their steps one by one.
  void print(std::ostream& out) const;

 protected:
  static constexpr std::size_t max_slots = 3;  ///< most tensors beside a parameter
  /// What a type of optimizer keeps for each parameter.
  struct Layout {
    const char* name;                    ///< of the type
    std::span<const char* const> slots;  ///< names of the tensors beside it, shaped like the parameter
    bool counts_steps;                   ///< then `step` is kept too
    std::size_t always = 0;              ///< so many of the slots are there, with `step`, from the first step on
    const char* number = nullptr;        ///< of one more number, in [0, 1], that is there with `step`
    bool sparse_alone = false;           ///< dense gradients are refused
    bool one_per_row = false;            ///< slots hold one number for each row of a table instead
  };
  /// A parameter and its state.
  struct Entry {
    Tensor parameter;                      ///< the handle
    std::size_t group = 0;                 ///< its group
    std::int64_t steps = 0;                ///< taken so far; since loading, where they are not saved
    float number = 1;                      ///< see Layout
    std::array<Tensor, max_slots> slots;   ///< undefined until used
    std::array<Tensor, max_slots> spares;  ///< made before anything is changed, for slots that are missing
    std::array<bool, max_slots> in_use{};  ///< slots that the last step moved
    bool is_shared = false;                ///< another parameter here has the same storage: all rows at every step
    Tensor dense_grad = {};                ///< made likewise, of a sparse gradient that all rows take part in
    std::shared_ptr<detail::Deferral> deferral = {};  ///< of a table whose rows may be behind
  };
  /// An option of a group, as numbers.
  struct Option {
    const char* name;                         ///< PyTorch's
    std::vector<double> values;               ///< one, or two of betas
    std::span<const char* const> words = {};  ///< what 0, 1, … stand for, if they are no numbers
  };

  /// Of a type; groups are added one by one.
  explicit Optimizer(const Layout& layout) : layout_(layout) {}
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// ValueError for parameters that are undefined, no leaves, or there already; DTypeError unless floating; ShapeError
  /// for what is no table where slots hold one number for each row.
  void add_group(const std::vector<Tensor>& parameters);
  /// ValueError if there is no parameter at all.
  void check_not_empty() const;
  /// IndexError if there is no such group.
  void check_group(std::size_t group) const;
  /// ValueError that lists what is wrong with a group's options, if anything is.
  void check_no_problems(std::size_t group, const std::vector<std::string>& problems) const;

  /// The options of a group, all of them.
  [[nodiscard]] virtual std::vector<Option> group_options(std::size_t group) const = 0;
  /// The option of that name if it is a number; of a pair of betas the first. Null if there is none.
  [[nodiscard]] virtual const double* find_number(std::size_t group, std::string_view name) const = 0;
  /// What would be wrong with these options of a group.
  [[nodiscard]] virtual std::vector<std::string> problems_of(const std::vector<Option>& options) const = 0;
  /// Puts options in place that are known to be right.
  virtual void take_options(std::size_t group, const std::vector<Option>& options) = 0;
  /// See set_updates.
  virtual void take_updates(std::size_t group, Updates updates) = 0;
  /// Whether a group's options call for a slot. Missing ones are made before the step.
  [[nodiscard]] virtual bool needs_slot(std::size_t /*group*/, std::size_t /*slot*/) const { return true; }
  /// What a slot starts with.
  [[nodiscard]] virtual double slot_start(std::size_t /*group*/, std::size_t /*slot*/) const { return 0; }
  /// What the step number `step` of a parameter does; `first`: slot 0 is made for it. Of types from outside the library
  /// what their row_rule says.
  [[nodiscard]] virtual detail::StepPlan plan(const Entry& entry, std::int64_t step, bool first) const;
  /// The rule of a group under its options of now; the same object while they don't change.
  [[nodiscard]] virtual std::shared_ptr<const embergrad::detail::RowRule> row_rule(std::size_t /*group*/) const {
    return nullptr;
  }

 private:
  friend class Checkpoint;
  friend class LRScheduler;

  // What keys call the parameters: their numbers, or names.
  struct Keys {
    std::vector<std::string> parameters;
    bool are_names;
  };
  // A state that was checked, ready to be put in place.
  struct Restored {
    std::vector<Entry> entries;
    std::vector<std::vector<Option>> options;
    std::vector<std::optional<double>> initial_lrs;
  };

  // How a step takes a gradient.
  enum class Way : unsigned char { none, dense, rows, deferred_rows };

  [[nodiscard]] const Entry& checked_entry(std::size_t parameter) const;
  [[nodiscard]] Shape slot_shape(const Tensor& parameter) const;
  void take_over(const Tensor& parameter);
  bool meets_its_like(std::size_t index, Way way);
  [[nodiscard]] std::size_t slot_named(std::string_view name) const;
  [[nodiscard]] Tensor up_to_size(const Entry& entry, std::size_t slot) const;
  void warn_of_replay(const Entry& entry);
  [[nodiscard]] bool replays(const Entry& entry) const;
  [[nodiscard]] Way way_of(const Entry& entry, const detail::StepPlan& plan) const;
  void prepare(std::size_t index);
  void apply(Entry& entry);
  [[nodiscard]] bool has_nonfinite_gradient() const;
  // What a step that was refused or skipped holds memory for.
  void drop_what_is_prepared();
  // Changes the option of that name, which must be there; the caller knows the value to be right.
  void set_number(std::size_t group, std::string_view name, double value);
  [[nodiscard]] Keys numbers() const;
  [[nodiscard]] Keys names_in(NamedTensors parameters) const;
  [[nodiscard]] StateDict state_dict(const Keys& keys) const;
  [[nodiscard]] Restored check_state(const StateDict& source, const Keys& keys) const;
  void restore(Restored restored);

  Layout layout_;
  std::vector<Entry> entries_;
  std::vector<std::size_t> group_sizes_;
  std::vector<std::optional<double>> initial_lrs_;
  bool skip_nonfinite_ = false;
  bool has_warned_of_owner_ = false;
  bool has_warned_of_replay_ = false;
  std::int64_t skipped_ = 0;
};

/// Writes `optimizer.print(out)`.
std::ostream& operator<<(std::ostream& out, const Optimizer& optimizer);

/// An optimizer whose groups have options of type `OptionsType`.
template <class OptionsType>
class OptimizerOf : public Optimizer {
 public:
  /// Parameters and their options; for a second group, copy the options and change a field.
  struct Group {
    std::vector<Tensor> params;  ///< leaves
    OptionsType options = {};    ///< all of them
  };

  /// The options of a group.
  [[nodiscard]] const OptionsType& options(std::size_t group = 0) const;
  /// Takes effect at the next step. ValueError, with everything that is wrong listed, and for another `updates`, which
  /// only set_updates changes; nothing is changed then.
  void set_options(std::size_t group, const OptionsType& options);
  /// See Optimizer.
  [[nodiscard]] Updates updates(std::size_t group = 0) const override;

 protected:
  /// Errors of add_group, and ValueError for invalid options.
  OptimizerOf(const Layout& layout, const std::vector<Group>& groups);

  /// See Optimizer.
  [[nodiscard]] std::vector<Option> group_options(std::size_t group) const override;
  /// See Optimizer.
  [[nodiscard]] const double* find_number(std::size_t group, std::string_view name) const override;
  /// See Optimizer.
  [[nodiscard]] std::vector<std::string> problems_of(const std::vector<Option>& options) const override;
  /// See Optimizer.
  void take_options(std::size_t group, const std::vector<Option>& options) override;
  /// See Optimizer.
  void take_updates(std::size_t group, Updates updates) override;

 private:
  // Without that field, idle rows always stand still.
  static constexpr bool has_updates = requires(OptionsType options) { options.updates; };

  std::vector<OptionsType> options_;
};

}  // namespace embergrad::optim
