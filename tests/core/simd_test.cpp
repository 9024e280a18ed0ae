// Every instruction set gives the same bits, and the sums are added in the order that the contract names.
#include "cpu/simd.hpp"
#include "kernels/update.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "support/check.hpp"

namespace embergrad::cpu {
namespace baseline {
extern const SimdTable table;
}
#if defined(__x86_64__)
namespace avx2 {
extern const SimdTable table;
}
namespace avx512 {
extern const SimdTable table;
}
#endif
}  // namespace embergrad::cpu

namespace eg = embergrad;
using eg::cpu::binary_place;
using eg::cpu::Loops;
using eg::cpu::SimdTable;
using eg::cpu::unary_place;
using eg::cpu::UpdateLoopsOf;
using namespace eg::test;

namespace {

constexpr std::int64_t sizes[] = {1, 7, 16, 31, 33, 1000};

// All tables that this processor runs.
std::vector<const SimdTable*> tables() {
  std::vector<const SimdTable*> all{&eg::cpu::baseline::table};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&eg::cpu::avx2::table);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")) {
    all.push_back(&eg::cpu::avx512::table);
  }
#endif
  return all;
}

template <class T>
std::vector<T> draw_numbers(Draw& draw, std::int64_t n, double low = -3.0, double high = 3.0) {
  std::vector<T> all(static_cast<std::size_t>(n));
  for (T& each : all) each = static_cast<T>(draw.uniform(low, high));
  return all;
}

// Equal bits; a NaN is a NaN, for its payload is the processor's affair.
template <class T>
boost::test_tools::assertion_result same_numbers(const std::vector<T>& got, const std::vector<T>& expected) {
  if (got.size() != expected.size()) return verdict(false, "another number of elements");
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i]) && std::isnan(expected[i])) continue;
    if (std::memcmp(&got[i], &expected[i], sizeof(T)) != 0) {
      return verdict(false, fmt::format("[{}] is {:a}, expected {:a}", i, got[i], expected[i]));
    }
  }
  return verdict(true, "");
}

// Runs body(table) for each table; the numbers it gives are those of the baseline.
template <class Body>
void same_for_all_tables(const std::string& name, const Body& body) {
  const auto expected = body(eg::cpu::baseline::table);
  for (const SimdTable* table : tables()) {
    BOOST_TEST(same_numbers(body(*table), expected), name << " of " << table->name);
  }
}

template <class T>
const UpdateLoopsOf<T>& update_of(const SimdTable& table) {
  if constexpr (sizeof(T) == 4) {
    return table.update.f32;
  } else {
    return table.update.f64;
  }
}

// Calls body(T, n) for both element types and all sizes.
template <class Body>
void for_types_and_sizes(const Body& body) {
  for (const std::int64_t n : sizes) {
    BOOST_TEST_CONTEXT("float32, size " << n) { body(float{}, n); }
    BOOST_TEST_CONTEXT("float64, size " << n) { body(double{}, n); }
  }
}

// The last element must be there and nothing behind it: results are followed by a guard.
template <class T>
std::vector<T> with_guard(std::int64_t n) {
  return std::vector<T>(static_cast<std::size_t>(n) + 16, T(-77));
}

// 16 partial sums, added pairwise.
template <class T>
T sum_in_lanes(const std::vector<T>& x) {
  std::vector<T> lane(16, T(0));
  for (std::size_t i = 0; i < x.size(); ++i) lane[i % 16] += x[i];
  while (lane.size() > 1) {
    const std::size_t half = lane.size() / 2;
    for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
    lane.resize(half);
  }
  return lane[0];
}

// In order by blocks of 64, the sums of blocks again by blocks of 64.
template <class T>
T sum_in_blocks(const std::vector<T>& x) {
  if (x.size() <= 64) {
    T total = 0;
    for (const T each : x) total += each;
    return total;
  }
  std::vector<T> blocks;
  for (std::size_t first = 0; first < x.size(); first += 64) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(first);
    const auto end = x.begin() + static_cast<std::ptrdiff_t>(std::min(first + 64, x.size()));
    blocks.push_back(sum_in_blocks(std::vector<T>(begin, end)));
  }
  return sum_in_blocks(blocks);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(simd)

BOOST_AUTO_TEST_CASE(the_chosen_table_is_one_of_them) {
  bool found = false;
  std::string names;
  for (const SimdTable* table : tables()) {
    found = found || table == &eg::cpu::simd();
    names += std::string(table->name) + " ";
  }
  BOOST_TEST(found, eg::cpu::simd().name << " is none of " << names);
  BOOST_TEST(std::string(tables()[0]->name) == "baseline");
  BOOST_TEST_MESSAGE("instruction sets compared: " << names);
}

BOOST_AUTO_TEST_CASE(elementwise) {
  for_types_and_sizes([](auto type, std::int64_t n) {
    using T = decltype(type);
    Draw draw(static_cast<std::uint64_t>(n));
    std::vector<T> a = draw_numbers<T>(draw, n, -20, 20);
    const std::vector<T> b = draw_numbers<T>(draw, n);
    if (n == 1000) {
      using limits = std::numeric_limits<T>;
      const T special[] = {T(0),          -T(0),         limits::infinity(), -limits::infinity(),  limits::quiet_NaN(),
                           limits::min(), limits::max(), limits::lowest(),   limits::denorm_min(), T(-104),
                           T(88.7)};
      for (std::size_t i = 0; i < std::size(special); ++i) a[37 * i + 3] = special[i];
    }
    for (int op = 0; op < eg::rules::UnaryRules::count; ++op) {
      same_for_all_tables(fmt::format("unary {}", op), [&](const SimdTable& table) {
        auto out = with_guard<T>(n);
        table.template loops<T>().unary[op](a.data(), out.data(), n);
        return out;
      });
      same_for_all_tables(fmt::format("unary_grad {}", op), [&](const SimdTable& table) {
        auto out = with_guard<T>(n);
        table.template loops<T>().unary_grad[op](a.data(), b.data(), out.data(), n);
        return out;
      });
    }
    for (int op = 0; op < eg::rules::BinaryRules::count; ++op) {
      same_for_all_tables(fmt::format("binary {}", op), [&](const SimdTable& table) {
        auto out = with_guard<T>(3 * n);
        const Loops<T>& loops = table.template loops<T>();
        loops.binary[op](a.data(), b.data(), out.data(), n);
        loops.binary_scalar[op](a.data(), T(1.7), out.data() + n, n);
        loops.scalar_binary[op](T(1.7), b.data(), out.data() + 2 * n, n);
        return out;
      });
    }
  });
}

// The loops compute what their names say, in the order of the operands.
BOOST_AUTO_TEST_CASE(elementwise_values) {
  for (const SimdTable* table : tables()) {
    const std::vector<double> a{6.0, -8.0}, b{3.0, 2.0};
    std::vector<double> out(2);
    const auto check = [&](double first, double second) {
      BOOST_TEST(out[0] == first, table->name << ": " << out[0] << ", expected " << first);
      BOOST_TEST(out[1] == second, table->name << ": " << out[1] << ", expected " << second);
    };
    const Loops<double>& loops = table->f64;
    const double expected[4][2] = {{9, -6}, {3, -10}, {18, -16}, {2, -4}};
    const double by_two[4][2] = {{8, -6}, {4, -10}, {12, -16}, {3, -4}};
    const double two_by[4][2] = {{5, 4}, {-1, 0}, {6, 4}, {2.0 / 3.0, 1}};
    for (std::size_t op = 0; op < 4; ++op) {
      loops.binary[op](a.data(), b.data(), out.data(), 2);
      check(expected[op][0], expected[op][1]);
      loops.binary_scalar[op](a.data(), 2.0, out.data(), 2);
      check(by_two[op][0], by_two[op][1]);
      loops.scalar_binary[op](2.0, b.data(), out.data(), 2);
      check(two_by[op][0], two_by[op][1]);
    }
    const std::vector<double> x{0.5, -0.25};
    using namespace eg::rules;
    const std::pair<int, std::function<double(double)>> functions[] = {
        {unary_place<Neg>, [](double v) { return -v; }},
        {unary_place<Exp>, [](double v) { return std::exp(v); }},
        {unary_place<Log>, [](double v) { return std::log(v); }},
        {unary_place<Sigmoid>, [](double v) { return 1 / (1 + std::exp(-v)); }},
        {unary_place<LogSigmoid>, [](double v) { return -std::log1p(std::exp(-v)); }},
        {unary_place<Tanh>, [](double v) { return std::tanh(v); }},
        {unary_place<Relu>, [](double v) { return v > 0 ? v : 0.0; }},
        {unary_place<Sqrt>, [](double v) { return std::sqrt(v); }},
        {unary_place<Square>, [](double v) { return v * v; }},
        {unary_place<Abs>, [](double v) { return std::fabs(v); }}};
    static_assert(std::size(functions) == UnaryRules::count);
    for (const auto& [op, function] : functions) {
      loops.unary[op](x.data(), out.data(), 1);
      BOOST_TEST(out[0] == function(x[0]), table->name << ", unary " << op);
    }
  }
}

BOOST_AUTO_TEST_CASE(extremes_and_clamps) {
  for_types_and_sizes([](auto type, std::int64_t n) {
    using T = decltype(type);
    if (n == 0) return;
    for (const bool nan : {false, true}) {
      Draw draw(static_cast<std::uint64_t>(n) + 5);
      std::vector<T> x = draw_numbers<T>(draw, 3 * n);
      if (nan) x[static_cast<std::size_t>(n / 2)] = std::numeric_limits<T>::quiet_NaN();
      same_for_all_tables("extreme", [&](const SimdTable& table) {
        const Loops<T>& loops = table.template loops<T>();
        const T most = loops.extreme(x.data(), n, false), least = loops.extreme(x.data(), n, true);
        return std::vector<T>{most, least, static_cast<T>(loops.find(x.data(), n, most)),
                              static_cast<T>(loops.find(x.data(), n, least))};
      });
      same_for_all_tables("extreme_rows", [&](const SimdTable& table) {
        std::vector<T> out = with_guard<T>(3 * n);
        std::vector<std::int64_t> at(static_cast<std::size_t>(n));
        const Loops<T>& loops = table.template loops<T>();
        loops.extreme_rows(x.data(), 3, n, out.data(), at.data(), false);
        loops.extreme_rows(x.data(), 3, n, out.data() + n, nullptr, true);
        for (std::int64_t j = 0; j < n; ++j)
          out[static_cast<std::size_t>(2 * n + j)] = static_cast<T>(at[static_cast<std::size_t>(j)]);
        return out;
      });
      same_for_all_tables("clamp", [&](const SimdTable& table) {
        std::vector<T> out = with_guard<T>(2 * n);
        const Loops<T>& loops = table.template loops<T>();
        loops.clamp(x.data(), T(-0.5), T(0.5), out.data(), n);
        loops.clamp_grad(x.data(), x.data() + n, T(-0.5), std::numeric_limits<T>::quiet_NaN(), out.data() + n, n);
        return out;
      });
      same_for_all_tables("bce", [&](const SimdTable& table) {
        std::vector<T> out = with_guard<T>(2 * n);
        const Loops<T>& loops = table.template loops<T>();
        loops.bce(x.data(), x.data() + n, x.data() + 2 * n, 1, x.data(), 0, out.data(), n);
        loops.bce_grad(x.data(), x.data() + n, x.data(), 0, x.data() + n, 1, x.data() + 2 * n, 1, out.data() + n, n);
        return out;
      });
      same_for_all_tables("bce without pos_weight", [&](const SimdTable& table) {
        std::vector<T> out = with_guard<T>(2 * n);
        const Loops<T>& loops = table.template loops<T>();
        loops.bce(x.data(), x.data() + n, x.data() + 2 * n, 1, nullptr, 0, out.data(), n);
        loops.bce_grad(x.data(), x.data() + n, x.data(), 0, nullptr, 0, x.data() + 2 * n, 1, out.data() + n, n);
        return out;
      });
    }
  });
}

// Every rule that takes integers has loops for them, and only such.
BOOST_AUTO_TEST_CASE(integer_loops) {
  using namespace eg::rules;
  for (const SimdTable* table : tables()) {
    const Loops<std::int32_t>& loops = table->i32;
    const std::vector<std::int32_t> a{7, -3, std::numeric_limits<std::int32_t>::min()}, b{2, 3, -1};
    std::vector<std::int32_t> out(3);
    const auto check = [&](int place, const std::vector<std::int32_t>& expected) {
      loops.binary[place](a.data(), b.data(), out.data(), 3);
      BOOST_TEST(out == expected, boost::test_tools::per_element());
    };
    check(binary_place<Add>, {9, 0, std::numeric_limits<std::int32_t>::max()});
    check(binary_place<Mul>, {14, -9, std::numeric_limits<std::int32_t>::min()});
    check(binary_place<Pow>, {49, -27, 0});
    check(binary_place<Maximum>, {7, 3, -1});
    check(binary_place<Le>, {0, 1, 1});
    BOOST_TEST((loops.binary[binary_place<Div>] == nullptr));
    BOOST_TEST((loops.unary[unary_place<Exp>] == nullptr));
    BOOST_TEST((loops.unary_grad[unary_place<Neg>] == nullptr));
    BOOST_TEST((table->i64.binary[binary_place<Pow>] != nullptr));
  }
}

BOOST_AUTO_TEST_CASE(sums) {
  for_types_and_sizes([](auto type, std::int64_t n) {
    using T = decltype(type);
    Draw draw(static_cast<std::uint64_t>(n) + 1);
    const std::vector<T> x = draw_numbers<T>(draw, n);
    const std::vector<T> expected{sum_in_lanes(x)};
    for (const SimdTable* table : tables()) {
      const std::vector<T> got{table->template loops<T>().sum(x.data(), n)};
      BOOST_TEST(same_numbers(got, expected), "sum of " << table->name);
      BOOST_TEST(table->template loops<T>().sum(x.data(), 0) == T(0));
    }
    same_for_all_tables("sum_squares", [&](const SimdTable& table) {
      return std::vector<double>{update_of<T>(table).sum_squares(x.data(), n)};
    });
  });
}

BOOST_AUTO_TEST_CASE(sums_of_rows) {
  for_types_and_sizes([](auto type, std::int64_t width) {
    using T = decltype(type);
    for (const std::int64_t count : {0, 1, 2, 63, 64, 65, 128, 129, 1000, 4096, 4097, 5000}) {
      if (width == 1000 && count > 129) continue;
      Draw draw(static_cast<std::uint64_t>(width + count));
      const std::int64_t stride = width + 3;
      const std::vector<T> x = draw_numbers<T>(draw, std::max<std::int64_t>(1, count) * stride);
      std::vector<T> expected = with_guard<T>(width);
      for (std::int64_t j = 0; j < width; ++j) {
        std::vector<T> column;
        for (std::int64_t k = 0; k < count; ++k) column.push_back(x[static_cast<std::size_t>(k * stride + j)]);
        expected[static_cast<std::size_t>(j)] = sum_in_blocks(column);
      }
      // the same numbers by places, and onto others
      std::vector<std::int64_t> places;
      std::vector<T> packed(static_cast<std::size_t>(std::max<std::int64_t>(1, count) * width));
      for (std::int64_t k = 0; k < count; ++k) {
        const std::int64_t place = count - 1 - k;
        places.push_back(place);
        for (std::int64_t j = 0; j < width; ++j) {
          packed[static_cast<std::size_t>(place * width + j)] = x[static_cast<std::size_t>(k * stride + j)];
        }
      }
      std::vector<T> onto = with_guard<T>(width);
      for (std::int64_t j = 0; j < width; ++j)
        onto[static_cast<std::size_t>(j)] += expected[static_cast<std::size_t>(j)];
      for (const SimdTable* table : tables()) {
        BOOST_TEST_CONTEXT(table->name << ", " << count << " rows") {
          const Loops<T>& loops = table->template loops<T>();
          const eg::cpu::RowsOf<T, T> gathered{
              .table = packed.data(), .rows = places.data(), .count = count, .readable = count, .width = width};
          auto out = with_guard<T>(width);
          loops.sum_rows(x.data(), count, stride, width, out.data());
          BOOST_TEST(same_numbers(out, expected), "sum_rows");
          out = with_guard<T>(width);
          table->template table<T>().sum(gathered, out.data(), false);
          BOOST_TEST(same_numbers(out, expected), "rows of a table");
          out = with_guard<T>(width);
          table->template table<T>().sum(gathered, out.data(), true);
          BOOST_TEST(same_numbers(out, onto), "rows of a table, accumulated");
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(softmax) {
  for_types_and_sizes([](auto type, std::int64_t n) {
    using T = decltype(type);
    Draw draw(static_cast<std::uint64_t>(n) + 2);
    const std::vector<T> x = draw_numbers<T>(draw, n, -30, 30);
    const std::vector<T> grad = draw_numbers<T>(draw, n);
    for (const bool log : {false, true}) {
      std::vector<T> y = with_guard<T>(n);
      eg::cpu::baseline::table.template loops<T>().softmax_row(x.data(), y.data(), n, log);
      same_for_all_tables("softmax_row", [&](const SimdTable& table) {
        auto out = with_guard<T>(n);
        table.template loops<T>().softmax_row(x.data(), out.data(), n, log);
        return out;
      });
      same_for_all_tables("softmax_row_grad", [&](const SimdTable& table) {
        auto out = with_guard<T>(n);
        table.template loops<T>().softmax_row_grad(y.data(), grad.data(), out.data(), n, log);
        return out;
      });
    }
  });
}

BOOST_AUTO_TEST_CASE(gemm) {
  for_types_and_sizes([](auto type, std::int64_t n) {
    using T = decltype(type);
    for (const std::int64_t k : sizes) {
      if (n * k > 40000) continue;
      for (const std::int64_t m : {1, 5}) {
        Draw draw(static_cast<std::uint64_t>(n * k));
        const std::vector<T> a = draw_numbers<T>(draw, m * k);
        const std::vector<T> b = draw_numbers<T>(draw, k * n);
        const std::vector<T> c = draw_numbers<T>(draw, m * (n + 2));
        for (unsigned bits = 0; bits < 16; ++bits) {
          const bool ta = (bits & 1U) != 0, tb = (bits & 2U) != 0;
          const T alpha = bits < 8 ? T(1) : T(0.75), beta = std::array{T(0), T(1), T(0), T(-0.5)}[bits / 4];
          const auto product = [&](const SimdTable& table) {
            std::vector<T> out = c;
            table.template loops<T>().gemm(m, n, k, a.data(), ta ? m : k, ta, b.data(), tb ? k : n, tb, alpha, beta,
                                           out.data(), n + 2);
            return out;
          };
          same_for_all_tables(fmt::format("gemm {}, {} by {} by {}", bits, m, n, k), product);
          const std::vector<T> got = product(eg::cpu::baseline::table);
          for (std::int64_t i = 0; i < m; ++i) {
            for (std::int64_t j = 0; j < n + 2; ++j) {
              const auto at = static_cast<std::size_t>(i * (n + 2) + j);
              double expected = static_cast<double>(c[at]);
              if (j < n) {
                expected *= static_cast<double>(beta);
                for (std::int64_t p = 0; p < k; ++p) {
                  expected += static_cast<double>(alpha) *
                              static_cast<double>(a[static_cast<std::size_t>(ta ? p * m + i : i * k + p)]) *
                              static_cast<double>(b[static_cast<std::size_t>(tb ? j * k + p : p * n + j)]);
                }
              }
              const double allowed = (sizeof(T) == 4 ? 2e-5 : 1e-13) * static_cast<double>(k + 1);
              if (std::abs(static_cast<double>(got[at]) - expected) > allowed) {
                BOOST_ERROR(fmt::format("gemm {}: c[{}, {}] is {}, expected {}", bits, i, j, got[at], expected));
              }
            }
          }
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(lstm) {
  for_types_and_sizes([](auto type, std::int64_t n) {
    using T = decltype(type);
    Draw draw(static_cast<std::uint64_t>(n) + 4);
    const std::vector<T> gates = draw_numbers<T>(draw, 4 * n);
    const std::vector<T> bias = draw_numbers<T>(draw, 4 * n);
    const std::vector<T> c_before = draw_numbers<T>(draw, n);
    const std::vector<T> grad = draw_numbers<T>(draw, 2 * n);
    for (const bool with_bias : {false, true}) {
      // everything one behind the other: gates, c, tanh c, h, and after backward gates and the gradient of c
      same_for_all_tables("lstm_cell", [&](const SimdTable& table) {
        const Loops<T>& loops = table.template loops<T>();
        std::vector<T> z = gates;
        auto c = with_guard<T>(n), c_tanh = with_guard<T>(n), h = with_guard<T>(n);
        loops.lstm_cell(z.data(), with_bias ? bias.data() : nullptr, c_before.data(), c.data(), c_tanh.data(), h.data(),
                        n);
        std::vector<T> all = z;
        std::vector<T> grad_c(grad.begin() + n, grad.end());
        loops.lstm_cell_grad(z.data(), c_before.data(), c_tanh.data(), grad.data(), grad_c.data(), n);
        for (const auto& part : {c, c_tanh, h, z, grad_c}) all.insert(all.end(), part.begin(), part.end());
        return all;
      });
    }
  });
}

BOOST_AUTO_TEST_CASE(optimizers) {
  for_types_and_sizes([](auto type, std::int64_t n) {
    using T = decltype(type);
    Draw draw(static_cast<std::uint64_t>(n) + 5);
    const std::vector<T> w = draw_numbers<T>(draw, n);
    const std::vector<T> g = draw_numbers<T>(draw, n);
    const std::vector<T> m = draw_numbers<T>(draw, n);
    const std::vector<T> v = draw_numbers<T>(draw, n, 0, 1);
    const std::vector<T> v_max = draw_numbers<T>(draw, n, 0, 1);
    // Any numbers in the range of all rules' coefficients.
    const T coefficients[eg::StepNumbers::max_count] = {T(0.1),  T(0.9),  T(0.7), T(0.01), T(0.03), T(1e-8),
                                                        T(0.02), T(0.99), T(-1),  T(0.3),  T(0.2),  T(0.6)};
    const T* const gradients[] = {g.data(), nullptr};
    for (int rule = 0; rule < eg::rules::StepRules::count; ++rule) {
      for (const T* const gradient : gradients) {
        same_for_all_tables("step", [&](const SimdTable& table) {
          std::vector<T> out = w, m2 = m, v2 = v, most = v_max;
          update_of<T>(table).step[rule](coefficients, out.data(), gradient, m2.data(), v2.data(), most.data(), n);
          for (const auto& part : {m2, v2, most}) out.insert(out.end(), part.begin(), part.end());
          return out;
        });
      }
    }
    // Spans: what they multiply by, and the degree and coefficients where there are any.
    const T span[] = {T(1),   T(-0.01), T(0.9),   T(0.99), T(1.1),   T(0.02), T(1e-8), T(4),
                      T(0.5), T(0.1),   T(-0.02), T(0.01), T(0.004), T(0),    T(0),    T(0)};
    for (int rule = 0; rule < eg::rules::IdleRules::count; ++rule) {
      same_for_all_tables("idle", [&](const SimdTable& table) {
        std::vector<T> out = w, m2 = m, v2 = v, most = v_max;
        update_of<T>(table).idle[rule](span, out.data(), m2.data(), v2.data(), most.data(), n);
        for (const auto& part : {m2, v2, most}) out.insert(out.end(), part.begin(), part.end());
        // The same in two parts.
        std::vector<T> before = w, parts(w.size()), m3 = m, v3 = v, most3 = v_max;
        update_of<T>(table).drift[rule](span, before.data(), m3.data(), v3.data(), most3.data(), parts.data(), n);
        update_of<T>(table).age[rule](span, before.data(), m3.data(), v3.data(), most3.data(), n);
        for (const auto& part : {m3, v3, most3}) parts.insert(parts.end(), part.begin(), part.end());
        BOOST_TEST((before == w));
        BOOST_TEST((parts == out));
        return out;
      });
    }
    // A slot that is not there stays zero, whatever numbers come by.
    same_for_all_tables("idle without slots", [&](const SimdTable& table) {
      std::vector<T> out = w;
      out[0] = std::numeric_limits<T>::infinity();
      const T linear[] = {T(1), T(-0.01), T(0.9), T(0.5), T(1.1)};
      update_of<T>(table).idle[int(eg::idle_rule<eg::rules::LinearIdle>)](linear, out.data(), nullptr, nullptr, nullptr,
                                                                          n);
      for (std::size_t i = 1; i < out.size(); ++i) BOOST_TEST(std::isfinite(out[i]));
      return out;
    });
    same_for_all_tables("scale", [&](const SimdTable& table) {
      std::vector<T> x = w;
      update_of<T>(table).scale(x.data(), T(0.3), n);
      return x;
    });
    same_for_all_tables("clamp", [&](const SimdTable& table) {
      std::vector<T> x = w;
      x[0] = std::numeric_limits<T>::quiet_NaN();
      update_of<T>(table).clamp(x.data(), T(1.5), n);
      return x;
    });
  });
}

BOOST_AUTO_TEST_SUITE_END()
