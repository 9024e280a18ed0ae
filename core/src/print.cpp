// operator<< for tensors and gradients.
#include <embergrad/row_sparse.hpp>
#include <embergrad/tensor.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

namespace embergrad {
namespace {

constexpr std::int64_t print_whole = 1000;  // elements; beyond, only the edges of each dimension
constexpr std::int64_t edge = 3;

struct Style {
  bool scientific;
};

std::string number_text(double value, const Style& style) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return style.scientific ? fmt::format("{:.4e}", value) : fmt::format("{:.4f}", value);
}

// Which positions of a dimension are shown; -1 stands for "...".
std::vector<std::int64_t> shown(std::int64_t extent, bool shortened) {
  std::vector<std::int64_t> positions;
  for (std::int64_t i = 0; i < extent; ++i) {
    if (shortened && extent > 2 * edge && i == edge) {
      positions.push_back(-1);
      i = extent - edge;
    }
    positions.push_back(i);
  }
  return positions;
}

class Printer {
 public:
  explicit Printer(const Tensor& tensor) : tensor_(tensor), shortened_(tensor.numel() > print_whole) {
    std::vector<double> values;
    if (!is_integer(tensor.dtype())) collect(values, Shape());
    double largest = 0, smallest = INFINITY;
    for (const double value : values) {
      if (!std::isfinite(value) || value == 0) continue;
      largest = std::max(largest, std::abs(value));
      smallest = std::min(smallest, std::abs(value));
    }
    style_.scientific = largest >= 1e5 || (largest > 0 && (largest < 1e-4 || largest / smallest > 1e8));
    measure(Shape());
  }

  [[nodiscard]] std::string text(std::size_t indent) { return write(Shape(), indent); }

 private:
  void collect(std::vector<double>& values, const Shape& position) {
    const int d = position.rank();
    if (d == tensor_.dim()) {
      values.push_back(value_at(position));
      return;
    }
    for (const std::int64_t i : shown(tensor_.shape()[d], shortened_)) {
      if (i >= 0) collect(values, position + i);
    }
  }

  void measure(const Shape& position) {
    const int d = position.rank();
    if (d == tensor_.dim()) {
      width_ = std::max(width_, element_text(position).size());
      return;
    }
    for (const std::int64_t i : shown(tensor_.shape()[d], shortened_)) {
      if (i >= 0) measure(position + i);
    }
  }

  [[nodiscard]] Tensor element(const Shape& position) const {
    std::int64_t flat = 0;
    for (int d = 0; d < position.rank(); ++d) flat = flat * tensor_.shape()[d] + position[d];
    return tensor_.reshape({-1})[flat];
  }
  [[nodiscard]] double value_at(const Shape& position) const { return element(position).item(); }
  [[nodiscard]] std::string element_text(const Shape& position) const {
    if (is_integer(tensor_.dtype())) return fmt::format("{}", element(position).item<std::int64_t>());
    return number_text(value_at(position), style_);
  }

  [[nodiscard]] std::string write(const Shape& position, std::size_t indent) {
    const int d = position.rank();
    if (d == tensor_.dim()) return fmt::format("{:>{}}", element_text(position), width_);
    const bool innermost = d + 1 == tensor_.dim();
    std::string text = "[";
    bool first = true;
    std::size_t on_line = 0;
    for (const std::int64_t i : shown(tensor_.shape()[d], shortened_)) {
      if (!first) {
        text += ",";
        const bool wrap = innermost && (on_line + 1) * (width_ + 2) + indent > 100;
        if (innermost && !wrap) {
          text += " ";
        } else {
          text += std::string(innermost ? 1 : static_cast<std::size_t>(tensor_.dim() - d - 1), '\n') +
                  std::string(indent + 1, ' ');
          on_line = 0;
        }
      }
      first = false;
      ++on_line;
      text += i < 0 ? "..." : write(position + i, indent + 1);
    }
    return text + "]";
  }

  const Tensor& tensor_;
  bool shortened_;
  Style style_{};
  std::size_t width_ = 0;
};

std::string body(const Tensor& tensor, std::size_t indent) {
  const Tensor plain = tensor.detach().to(Device::cpu());
  if (plain.numel() == 0) return "[]";
  return Printer(plain).text(indent);
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  if (!tensor.defined()) return out << "tensor(undefined)";
  out << "tensor(" << body(tensor, 7) << ", shape=" << tensor.shape().to_string() << ", " << name_of(tensor.dtype())
      << ", " << tensor.device().to_string();
  if (tensor.requires_grad()) out << ", requires_grad";
  return out << ")";
}

std::ostream& operator<<(std::ostream& out, const RowSparse& rows) {
  return out << "RowSparse(" << rows.count() << " of " << rows.rows() << " rows,\n  indices=" << rows.indices()
             << ",\n  values=" << rows.values() << ")";
}

std::ostream& operator<<(std::ostream& out, const Gradient& gradient) {
  if (!gradient.defined()) return out << "undefined";
  if (gradient.is_sparse()) return out << gradient.rows();
  return out << gradient.to_dense();
}

}  // namespace embergrad
