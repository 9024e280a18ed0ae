// A lookup or bags of any options and tensors: forward, backward and a step of SGD. Nothing may be thrown but
// embergrad's errors, and a sparse gradient is the dense one. An entry of libFuzzer; the test core.fuzz calls it as
// well.
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/optim/sgd.hpp>
#include <embergrad/row_sparse.hpp>
#include <embergrad/tensor.hpp>

namespace eg = embergrad;

namespace {

// What the input says, byte by byte; zeros behind its end.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  std::uint8_t byte() { return at_ == end_ ? 0 : *at_++; }
  bool flag() { return byte() % 2 == 1; }
  // True for few bytes: most inputs are to be valid.
  bool rarely() { return byte() >= 0xF0; }
  template <class T, std::size_t n>
  T one_of(const T (&choices)[n]) {
    return choices[byte() % n];
  }
  std::int64_t wide() {
    std::uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
    return static_cast<std::int64_t>(bits);
  }
  double number() {
    constexpr double unusual[] = {0.0,
                                  -0.0,
                                  1e30,
                                  -1e-30,
                                  std::numeric_limits<double>::infinity(),
                                  -std::numeric_limits<double>::infinity(),
                                  std::numeric_limits<double>::quiet_NaN()};
    const std::uint8_t given = byte();
    return given >= 0xF8 ? one_of(unusual) : (given - 124) / 16.0;
  }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

constexpr eg::DType floating[] = {eg::DType::float32, eg::DType::float64, eg::DType::float16, eg::DType::bfloat16};
constexpr eg::DType integers[] = {eg::DType::int64, eg::DType::int32};

eg::Tensor numbers(Bytes& bytes, const eg::Shape& shape, eg::DType dtype) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  // A few bytes fill a tensor of any size.
  std::vector<double> given(1 + bytes.byte() % 32);
  for (double& number : given) number = bytes.number();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = given[i % given.size()];
  return eg::tensor(values, shape).to(dtype);
}

eg::Tensor whole_numbers(Bytes& bytes, const std::vector<std::int64_t>& values) {
  const eg::Tensor tensor = eg::tensor(values);
  const eg::DType dtype = bytes.rarely() ? bytes.one_of(floating) : bytes.one_of(integers);
  return tensor.to(dtype);
}

struct Call {
  bool bags = false;
  eg::Tensor input, offsets, weight, weights, grad;
  eg::EmbeddingBagOptions options;
  eg::Scales scales;
  bool leaf = true;
  double lr = 0;

  explicit Call(Bytes bytes) {
    constexpr std::int64_t widths[] = {1, 2, 3, 4, 8, 15, 16, 17, 33, 64, 65, 0};
    constexpr std::int64_t lengths[] = {0, 1, 2, 3, 5, 17, 63, 64, 65, 130};
    bags = !bytes.rarely();
    const std::int64_t rows = bytes.rarely() ? 0 : 1 + bytes.byte() % 20;
    const std::int64_t dim = bytes.one_of(widths);
    const bool is_matrix = bytes.flag();
    const std::int64_t count = bytes.byte() % 6;
    std::vector<std::int64_t> starts;
    std::int64_t places = 0;
    const std::int64_t length = bytes.one_of(lengths);
    for (std::int64_t b = 0; b < count; ++b) {
      starts.push_back(places);
      places += is_matrix ? length : bytes.one_of(lengths);
    }
    if (rows == 0 && !bytes.rarely()) places = 0;

    options.include_last_offset = bytes.flag();
    if (options.include_last_offset) starts.push_back(places);
    if (bytes.rarely()) starts.insert(starts.begin() + bytes.byte() % (starts.size() + 1), bytes.wide());
    if (bytes.rarely() && !starts.empty()) starts[bytes.byte() % starts.size()] = bytes.byte();
    if (!is_matrix && !bytes.rarely()) offsets = whole_numbers(bytes, starts);
    if (is_matrix && bytes.rarely()) offsets = whole_numbers(bytes, starts);

    std::vector<std::int64_t> indices(static_cast<std::size_t>(places));
    const std::int64_t high = bytes.rarely() ? rows + 1 : bytes.flag() ? rows : 1 + rows / 4;
    const std::int64_t stride = bytes.byte();
    for (std::size_t i = 0; i < indices.size(); ++i) {
      indices[i] = (bytes.byte() + stride * static_cast<std::int64_t>(i)) % (high > 0 ? high : 1);
    }
    if (bytes.rarely() && !indices.empty()) indices[bytes.byte() % indices.size()] = bytes.wide();
    input = whole_numbers(bytes, indices);
    if (is_matrix) input = input.reshape({count, length * count == places ? length : 0});

    const eg::DType dtype = bytes.rarely() ? bytes.one_of(integers) : bytes.one_of(floating);
    weight = numbers(bytes, {rows, dim}, dtype);
    if (bytes.rarely()) weight = weight.reshape({rows * dim});
    if (bytes.flag()) {
      const bool odd = bytes.rarely();
      weights = numbers(bytes, odd ? eg::Shape{places + 1} : input.shape(), odd ? bytes.one_of(floating) : dtype);
      if (bytes.flag() && is_floating(weights.dtype())) weights.set_requires_grad();
      options.per_sample_weights = weights;
    }
    options.mode = bytes.one_of({eg::BagMode::sum, eg::BagMode::mean, eg::BagMode::max});
    options.scale_grad_by_freq = bytes.flag();
    if (bytes.flag()) options.padding_idx = static_cast<std::int8_t>(bytes.byte()) % (rows + (bytes.rarely() ? 2 : 1));
    if (bytes.flag()) options.max_norm = bytes.rarely() ? bytes.number() : 0.1 + bytes.byte() / 32.0;
    if (bytes.flag()) options.norm_type = bytes.number();
    if (bytes.flag()) scales = {.out = bytes.number(), .grad_in = bytes.number(), .grad_weight = bytes.number()};
    leaf = !bytes.rarely();
    lr = bytes.byte() / 64.0;
    grad = numbers(bytes, {bytes.byte() % 7 + 1}, eg::DType::float64);
  }
};

struct Answer {
  bool refused = false;
  eg::Tensor output, table, grad, weights_grad, after;
};

eg::Tensor repeated(const eg::Tensor& numbers, const eg::Tensor& like) {
  std::vector<double> values(static_cast<std::size_t>(like.numel()));
  const auto given = numbers.to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = given[i % given.size()];
  return eg::tensor(values, like.shape()).to(like.dtype());
}

Answer run(Call call, bool sparse) {
  Answer answer;
  try {
    eg::Tensor table = call.weight.clone();
    if (is_floating(table.dtype())) table.set_requires_grad();
    const eg::Tensor used = call.leaf || !table.requires_grad() || item_size(table.dtype()) == 2 ? table : table * 2.0;
    call.options.sparse = sparse;
    if (call.options.per_sample_weights.defined() && call.options.per_sample_weights.requires_grad()) {
      call.options.per_sample_weights = call.options.per_sample_weights.detach().clone().set_requires_grad();
    }
    const eg::Tensor& weights = call.options.per_sample_weights;
    if (call.bags) {
      answer.output = embedding_bag(call.input, used, call.offsets, call.options, call.scales);
    } else {
      answer.output = embedding(call.input, used,
                                {.padding_idx = call.options.padding_idx,
                                 .max_norm = call.options.max_norm,
                                 .norm_type = call.options.norm_type,
                                 .scale_grad_by_freq = call.options.scale_grad_by_freq,
                                 .sparse = sparse},
                                call.scales);
    }
    answer.table = used.detach().clone();
    if (!answer.output.requires_grad()) return answer;
    answer.output.backward(repeated(call.grad, answer.output));
    answer.output = answer.output.detach();
    if (sparse && call.leaf != table.grad().is_sparse() && item_size(table.dtype()) != 2) {
      throw std::logic_error("sparse is not what it should be");
    }
    answer.grad = table.grad().to_dense();
    if (weights.defined() && weights.requires_grad() && call.bags) answer.weights_grad = weights.grad().to_dense();
    eg::optim::SGD optimizer({table}, {.lr = call.lr});
    optimizer.step();
    answer.after = table.detach();
  } catch (const eg::Error&) {
    answer.refused = true;
  }
  return answer;
}

// The same numbers; NaN is NaN.
bool same(const eg::Tensor& a, const eg::Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const auto x = a.to(eg::DType::float64).to_vector<double>();
  const auto y = b.to(eg::DType::float64).to_vector<double>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] != y[i] && !(x[i] != x[i] && y[i] != y[i])) return false;
  }
  return true;
}

bool same_bits(const eg::Tensor& a, const eg::Tensor& b) {
  if (!same(a, b)) return false;
  if (!a.defined() || a.dtype() != eg::DType::float32) return true;
  const auto x = a.to_vector<float>();
  const auto y = b.to_vector<float>();
  return x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::optional<Call> call;
  try {
    call.emplace(Bytes(data, size));
  } catch (const eg::Error&) {
    return -1;  // no such tensors
  }
  const Answer dense = run(*call, false);
  const Answer sparse = run(*call, true);
  if (dense.refused != sparse.refused) throw std::logic_error("dense and sparse don't agree on what is refused");
  if (dense.refused) return 0;
  if (!same_bits(dense.output, sparse.output)) throw std::logic_error("the outputs differ");
  if (!same_bits(dense.table, sparse.table)) throw std::logic_error("the tables differ");
  if (!same_bits(dense.grad, sparse.grad)) throw std::logic_error("the gradients of weight differ");
  if (!same_bits(dense.weights_grad, sparse.weights_grad)) throw std::logic_error("those of the weights differ");
  if (!same(dense.after, sparse.after)) throw std::logic_error("the steps differ");
  return 0;
}
