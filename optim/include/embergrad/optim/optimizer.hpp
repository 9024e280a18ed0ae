/// @file
/// Optimizer: what all optimizers have in common.
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <embergrad/safetensors.hpp>
#include <embergrad/tensor.hpp>

namespace embergrad::optim {

class Checkpoint;
class LRScheduler;

/// Tensors with names: a `StateDict` or what `nn::Module::named_parameters()` gives converts by itself.
using NamedTensors = std::span<const StateDict::Entry>;

/// Changes parameters along their gradients. Parameters come in groups; each group has a full set of options.
///
/// `step()` looks at everything first: if it throws, nothing was changed. A parameter without a gradient is skipped: no
/// decay, no momentum, no step counted; a gradient of zeros, or a sparse one without rows, is a step. Rows that are
/// frozen (an embedding's padding row) don't move. A sparse gradient is taken where a row without a gradient would stay
/// as it is; else it is refused by name. Parameters of 16 bits are brought to float32, moved, and rounded back; their
/// state is float32. Numbers are those of `torch.optim`, with one addition: float32 moments below 1e-30 become 0.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One update. ValueError for a sparse gradient that this optimizer does not take; ShapeError, DTypeError or
  /// DeviceError for one that does not fit its parameter any more; OutOfMemory.
  void step();
  /// Drops the gradients of all parameters.
  void zero_grad();

  /// Number of groups.
  [[nodiscard]] std::size_t group_count() const { return group_sizes_.size(); }
  /// The parameters of a group. IndexError if there is no such group, as for all that takes a group.
  [[nodiscard]] std::vector<Tensor> parameters(std::size_t group = 0) const;
  /// The learning rate of a group.
  [[nodiscard]] double lr(std::size_t group = 0) const;
  /// Takes effect at the next step. ValueError if negative or not finite.
  void set_lr(double lr, std::size_t group = 0);
  /// The learning rate from which schedules start (PyTorch's `initial_lr`): what `lr` was when the first scheduler was
  /// made, or what the last OneCycleLR chose; nothing if there was no scheduler.
  [[nodiscard]] std::optional<double> initial_lr(std::size_t group = 0) const;

  /// A state tensor of a parameter under PyTorch's name (`momentum_buffer`; `step`, `exp_avg`, `exp_avg_sq`,
  /// `max_exp_avg_sq`); undefined if there is none yet. Parameters are counted over all groups. IndexError if there is
  /// no such parameter, ValueError if this optimizer has no state of that name.
  [[nodiscard]] Tensor state(std::size_t parameter, std::string_view name) const;

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
  /// Writes the type and, group by group, how many parameters it has and its options.
  void print(std::ostream& out) const;

 protected:
  static constexpr std::size_t max_slots = 3;  ///< most tensors beside a parameter
  /// What a type of optimizer keeps for each parameter.
  struct Layout {
    const char* name;                    ///< of the type
    std::span<const char* const> slots;  ///< names of the tensors shaped like the parameter
    bool counts_steps;                   ///< then `step` is kept too
    std::size_t always = 0;              ///< so many of the slots are there, with `step`, from the first step on
  };
  /// A parameter and its state.
  struct Entry {
    Tensor parameter;                      ///< the handle
    std::size_t group = 0;                 ///< its group
    std::int64_t steps = 0;                ///< taken so far
    std::array<Tensor, max_slots> slots;   ///< undefined until used
    std::array<Tensor, max_slots> spares;  ///< made before anything is changed, for slots that are missing
  };
  /// What update() works on: elements [begin, begin + count) of a gradient. Entry::steps counts this step already.
  struct Update {
    const Entry& entry;        ///< parameter and state
    const Tensor& grad;        ///< of the whole parameter, or the values of a sparse gradient
    bool first;                ///< slot 0 was made for this step
    std::int64_t begin;        ///< the first element
    std::int64_t count;        ///< number of elements
    const std::int64_t* rows;  ///< of a sparse gradient: the row of the table for each row of these elements; else null
  };
  /// An option of a group, as numbers.
  struct Option {
    const char* name;            ///< PyTorch's
    std::vector<double> values;  ///< one, or two of betas
    bool is_flag;                ///< printed as True or False
  };

  /// Of a type; groups are added one by one.
  explicit Optimizer(const Layout& layout) : layout_(layout) {}
  Optimizer(Optimizer&&) = default;
  Optimizer& operator=(Optimizer&&) = default;

  /// ValueError for parameters that are undefined, no leaves, or there already; DTypeError unless float32 or float64.
  void add_group(const std::vector<Tensor>& parameters);
  /// ValueError if there is no parameter at all.
  void check_not_empty() const;
  /// IndexError if there is no such group.
  void check_group(std::size_t group) const;

  /// The options of a group, all of them.
  [[nodiscard]] virtual std::vector<Option> group_options(std::size_t group) const = 0;
  /// The option of that name if it is a number; of a pair of betas the first. Null if there is none.
  [[nodiscard]] virtual const double* find_number(std::size_t group, std::string_view name) const = 0;
  /// What would be wrong with these options of a group.
  [[nodiscard]] virtual std::vector<std::string> problems_of(const std::vector<Option>& options) const = 0;
  /// Puts options in place that are known to be right.
  virtual void take_options(std::size_t group, const std::vector<Option>& options) = 0;
  /// Whether a group's options call for a slot. Missing ones are made, as zeros, before update().
  [[nodiscard]] virtual bool needs_slot(std::size_t group, std::size_t slot) const = 0;
  /// What a slot starts with.
  [[nodiscard]] virtual double slot_start(std::size_t /*group*/, std::size_t /*slot*/) const { return 0; }
  /// Why a group's options do not go with sparse gradients; null if they do.
  [[nodiscard]] virtual const char* refuses_sparse(std::size_t group) const = 0;
  /// The step of one stretch of one parameter, or of some of its rows; frozen rows are in none.
  virtual void update(const Update& work) = 0;

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

  void prepare(std::size_t index);
  void apply(Entry& entry);
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
  /// Takes effect at the next step. ValueError, with everything that is wrong listed; nothing is changed then.
  void set_options(std::size_t group, const OptionsType& options);

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

 private:
  std::vector<OptionsType> options_;
};

}  // namespace embergrad::optim
