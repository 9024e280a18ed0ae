/// @file
/// Sequences of different lengths in one batch, without padding (`torch.nn.utils.rnn`).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <embergrad/tensor.hpp>

namespace embergrad::nn {

/// Lengths of sequences, given as a span, a vector, a list of numbers or an integer tensor of rank 1. For parameters of
/// functions: a span or vector is not copied.
class Lengths {
 public:
  /// Views that outlive this object.
  Lengths(std::span<const std::int64_t> lengths) : view_(lengths) {}  // NOLINT(google-explicit-constructor)
  /// The same.
  Lengths(const std::vector<std::int64_t>& lengths) : view_(lengths) {}  // NOLINT(google-explicit-constructor)
  /// `{3, 5, 2}`, copied.
  Lengths(std::initializer_list<std::int64_t> lengths) : own_(lengths), view_(own_) {}
  /// DTypeError unless int32 or int64, ShapeError unless of rank 1. They are wanted on the host: one made on a GPU is
  /// waited for.
  Lengths(const Tensor& lengths);  // NOLINT(google-explicit-constructor)
  ~Lengths() = default;
  Lengths(const Lengths&) = delete;
  Lengths& operator=(const Lengths&) = delete;
  Lengths(Lengths&&) = delete;
  Lengths& operator=(Lengths&&) = delete;

  /// The lengths.
  [[nodiscard]] std::span<const std::int64_t> values() const { return view_; }

 private:
  std::vector<std::int64_t> own_;
  std::span<const std::int64_t> view_;
};

/// A batch of sequences of different lengths, packed by step: the first step of every sequence, then the second step of
/// those that have one, and so on, longest sequence first. Lengths in any order, zero included; sequences of one length
/// keep their order. What layers take and give instead of padded tensors; a shared handle, as Tensor is.
/// @code{.txt}
/// lengths 2, 3:  a0 a1 / b0 b1 b2   ->   values b0 a0 b1 a1 b2,  batch_sizes 2 2 1,  order 1 0
/// @endcode
class PackedSequence {
 public:
  /// No sequences and no tensor.
  PackedSequence() = default;

  /// False for one made by the default constructor.
  [[nodiscard]] bool defined() const { return layout_ != nullptr; }
  /// The packed rows, (Σ lengths, …). ValueError if undefined, as for all below.
  [[nodiscard]] const Tensor& values() const;
  /// batch_sizes()[t]: how many sequences have a step t.
  [[nodiscard]] std::span<const std::int64_t> batch_sizes() const;
  /// order()[k]: which of the user's sequences stands at place k (PyTorch's `sorted_indices`).
  [[nodiscard]] std::span<const std::int64_t> order() const;
  /// True if the sequences stand in the user's order.
  [[nodiscard]] bool in_user_order() const;
  /// The length of each sequence, in the user's order.
  [[nodiscard]] std::span<const std::int64_t> lengths() const;
  /// Number of sequences.
  [[nodiscard]] std::int64_t batch() const;
  /// The same sequences with other rows: what a layer makes of them. ShapeError unless `values` has as many rows.
  [[nodiscard]] PackedSequence with_values(Tensor values) const;
  /// The rows moved to a device.
  [[nodiscard]] PackedSequence to(Device device) const { return with_values(values().to(device)); }
  /// True if row i of both belongs to the same step of the same sequence: both come from one packing, or from packings
  /// of the same lengths.
  [[nodiscard]] friend bool same_order(const PackedSequence& a, const PackedSequence& b) {
    return a.layout_ == b.layout_ || (a.defined() && b.defined() && a.same_lengths(b));
  }

  struct Layout;
  /// For the functions below.
  PackedSequence(Tensor values, std::shared_ptr<const Layout> layout)
      : values_(std::move(values)), layout_(std::move(layout)) {}

 private:
  [[nodiscard]] const Layout& layout() const;
  [[nodiscard]] bool same_lengths(const PackedSequence& other) const;

  Tensor values_;
  std::shared_ptr<const Layout> layout_;
};

/// ValueError with the sizes of both unless `same_order(a, b)`: rows of another order would pair up wrongly, unnoticed.
/// `op`, `a_name` and `b_name` go into the message.
void check_same_order(const char* op, const char* a_name, const PackedSequence& a, const char* b_name,
                      const PackedSequence& b);

/// Options of `pack_padded_sequence`, in PyTorch's order.
struct PackPaddedOptions {
  bool batch_first = false;    ///< the input is (B, T, …) instead of (T, B, …)
  bool enforce_sorted = true;  ///< refuse lengths that are not falling
};

/// Packs a padded batch. Positions past a sequence's length are dropped and get no gradient.
/// @param input  (T, B, …) or, with batch_first, (B, T, …); any type that `gather_rows` takes
/// @param lengths  one for each of the B sequences, 0 … T (ValueError); falling, if enforce_sorted
[[nodiscard]] PackedSequence pack_padded_sequence(const Tensor& input, const Lengths& lengths,
                                                  const PackPaddedOptions& options = {});

/// Options of `pad_packed_sequence`, in PyTorch's order.
struct PadPackedOptions {
  bool batch_first = false;                       ///< give (B, T, …) instead of (T, B, …)
  Scalar padding_value = 0.0;                     ///< stands past a sequence's end
  std::optional<std::int64_t> total_length = {};  ///< T, at least the longest length; default: that length
};

/// What `pad_packed_sequence` gives; `auto [padded, lengths] = …`.
struct PaddedSequences {
  Tensor padded;   ///< (T, B, …) or, with batch_first, (B, T, …), in the user's order
  Tensor lengths;  ///< (B), int64, on the CPU
};

/// The inverse of packing. ValueError for a total_length below the longest length.
[[nodiscard]] PaddedSequences pad_packed_sequence(const PackedSequence& sequence, const PadPackedOptions& options = {});

/// Packs sequences given one by one, each (length, …). ShapeError unless the rest of the shape is the same, DTypeError
/// for mixed types.
[[nodiscard]] PackedSequence pack_sequence(const std::vector<Tensor>& sequences, bool enforce_sorted = true);

/// At which end `pad_sequence` pads.
enum class PaddingSide : std::uint8_t { right, left };

/// Options of `pad_sequence`, in PyTorch's order.
struct PadSequenceOptions {
  bool batch_first = false;                       ///< give (B, T, …) instead of (T, B, …)
  Scalar padding_value = 0.0;                     ///< fills up shorter sequences
  PaddingSide padding_side = PaddingSide::right;  ///< after the end, or before the start
};

/// Sequences given one by one, each (length, …), filled up to the longest. Errors as for `pack_sequence`.
[[nodiscard]] Tensor pad_sequence(const std::vector<Tensor>& sequences, const PadSequenceOptions& options = {});

/// Packs sequences of ids, in any order of lengths, into an int64 PackedSequence without padding them first.
[[nodiscard]] PackedSequence pack_ids(std::span<const std::vector<std::int64_t>> sequences);

}  // namespace embergrad::nn
