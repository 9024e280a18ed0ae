#include <embergrad/tensor.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/error.hpp>
#include <embergrad/ops.hpp>

#include "support/check.hpp"

namespace eg = embergrad;
using eg::DType;
using eg::Shape;
using eg::Tensor;
using namespace eg::test;

namespace {

constexpr std::array all_types = {DType::float32,  DType::float64, DType::float16,
                                  DType::bfloat16, DType::int32,   DType::int64};
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

std::string printed(const Tensor& tensor) {
  std::ostringstream out;
  out << tensor;
  return out.str();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tensor)

// --- factories

BOOST_AUTO_TEST_CASE(numbers_in_the_source) {
  const Tensor scalar = eg::tensor(2.5);
  BOOST_TEST((scalar.shape() == Shape{}));
  BOOST_TEST((scalar.dtype() == DType::float32));
  BOOST_TEST(scalar.item() == 2.5);
  BOOST_TEST((eg::tensor(2).dtype() == DType::int64));
  BOOST_TEST((eg::tensor(2.0F).dtype() == DType::float32));

  const Tensor row = eg::tensor({1.0, 2.0, 3.5});
  BOOST_TEST((row.shape() == Shape{3}));
  BOOST_TEST((row.dtype() == DType::float32));
  BOOST_TEST(row.to_vector() == (std::vector<float>{1.0F, 2.0F, 3.5F}), boost::test_tools::per_element());

  const Tensor table = eg::tensor({{1, 2, 3}, {4, 5, 6}});
  BOOST_TEST((table.shape() == Shape{2, 3}));
  BOOST_TEST((table.dtype() == DType::int64));
  BOOST_TEST(table.to_vector<std::int64_t>() == (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}),
             boost::test_tools::per_element());

  const Tensor blocks = eg::tensor({{{1.0}, {2.0}}, {{3.0}, {4.0}}, {{5.0}, {6.0}}}, {DType::float64, {}});
  BOOST_TEST((blocks.shape() == Shape{3, 2, 1}));
  BOOST_TEST((blocks.dtype() == DType::float64));
  BOOST_TEST(blocks.at({2, 0, 0}) == 5.0);
  BOOST_TEST((eg::tensor({7, 8}, {DType::float16, {}}).dtype() == DType::float16));
  BOOST_TEST(eg::tensor({9007199254740993}).item<std::int64_t>() == 9007199254740993);
}

BOOST_AUTO_TEST_CASE(ragged_numbers_are_refused) {
  BOOST_TEST(refuses<eg::ShapeError>([] { return eg::tensor({{1, 2, 3}, {4, 5}}); }, {"3", "2"}));
  BOOST_TEST(refuses<eg::ShapeError>([] { return eg::tensor({{{1}, {2}}, {{3}}}); }));
  BOOST_TEST(refuses<eg::ShapeError>([] { return eg::tensor({{{1, 1}, {2, 2}}, {{3, 3}, {4}}}); }));
  const std::vector<float> five(5);
  BOOST_TEST(refuses<eg::ShapeError>([&] { return eg::tensor(five, {2, 3}); }, {"6", "5"}));
}

BOOST_AUTO_TEST_CASE(constant_factories) {
  for (const DType dtype : all_types) {
    BOOST_TEST_CONTEXT(eg::name_of(dtype)) {
      for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{2, 3}, Shape{33, 1, 2}, Shape{70000}}) {
        const auto holds = [&](const Tensor& tensor, double value) {
          BOOST_TEST((tensor.shape() == shape));
          BOOST_TEST((tensor.dtype() == dtype));
          BOOST_TEST(tensor.device().is_cpu());
          BOOST_TEST(tensor.is_leaf());
          BOOST_TEST(!tensor.requires_grad());
          const std::vector<double> got = tensor.to_vector<double>();
          BOOST_TEST(got == std::vector<double>(static_cast<std::size_t>(shape.numel()), value),
                     boost::test_tools::per_element());
        };
        holds(eg::zeros(shape, {dtype, {}}), 0);
        holds(eg::ones(shape, {dtype, {}}), 1);
        holds(eg::full(shape, -3, {dtype, {}}), -3);
        holds(eg::zeros_like(eg::empty(shape, {dtype, {}})), 0);
      }
    }
  }
  BOOST_TEST((eg::zeros({2}).dtype() == DType::float32));
  BOOST_TEST(std::isnan(eg::full({1}, not_a_number).item()));
  BOOST_TEST(eg::full({1}, 2.9, {DType::int32, {}}).item() == 2);
  BOOST_TEST(std::signbit(eg::full({1}, -0.0).item()));
}

BOOST_AUTO_TEST_CASE(vectors_and_spans_keep_their_type) {
  const std::vector<std::int32_t> ints{3, 1, 2};
  BOOST_TEST((eg::tensor(ints).dtype() == DType::int32));
  BOOST_TEST((eg::tensor(std::vector<double>{1, 2}).dtype() == DType::float64));
  const std::array<float, 4> four{1, 2, 3, 4};
  const Tensor square = eg::tensor(std::span<const float>(four), {2, 2});
  BOOST_TEST((square.shape() == Shape{2, 2}));
  BOOST_TEST(square.at({1, 0}) == 3);
  const std::vector<eg::BFloat16> half{{0x3F80}, {0xC000}};
  BOOST_TEST(eg::tensor(half).to_vector() == (std::vector<float>{1, -2}), boost::test_tools::per_element());
  BOOST_TEST((eg::tensor(std::vector<float>{}).shape() == Shape{0}));
}

BOOST_AUTO_TEST_CASE(scalars_keep_integers_whole) {
  const std::int64_t odd = (std::int64_t{1} << 60) + 1;
  BOOST_TEST(eg::Scalar(odd).integer() == odd);
  BOOST_TEST(eg::Scalar(odd).is_integer());
  BOOST_TEST(eg::Scalar(2.5).integer() == 0);
  BOOST_TEST(eg::Scalar(2.5).value() == 2.5);
  const eg::TensorOptions wide{DType::int64, {}}, narrow{DType::int32, {}};
  BOOST_TEST(eg::full({2}, odd, wide).at<std::int64_t>({1}) == odd);
  BOOST_TEST((eg::full({2}, 1, wide) * odd).at<std::int64_t>({0}) == odd);
  Tensor x = eg::zeros({2}, wide);
  x.set({0}, odd);
  BOOST_TEST(x.at<std::int64_t>({0}) == odd);
  BOOST_TEST(x.fill(-odd).at<std::int64_t>({1}) == -odd);
  BOOST_TEST(eg::gather_rows_or(x, eg::tensor({-1}), odd).at<std::int64_t>({0}) == odd);
  // What an integer tensor can't hold is refused, and nothing is changed.
  const std::int64_t beyond = std::int64_t{1} << 31;
  Tensor y = eg::ones({2}, narrow);
  BOOST_TEST(refuses<eg::ValueError>([&] { return y + beyond; }, {"add:", "other", "2147483648", "int32"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::eq(y, -beyond - 1); }, {"eq:", "-2147483649"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::full({1}, beyond, narrow); }, {"full:", "2147483648"}));
  BOOST_TEST(refuses<eg::ValueError>(
      [&] {
        y.fill(1e10);
        return 0;
      },
      {"fill:", "10000000000", "int32"}));
  BOOST_TEST(refuses<eg::ValueError>(
      [&] {
        y.set({0}, not_a_number);
        return 0;
      },
      {"set:", "nan"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::full({1}, 0x1p63, wide); }, {"full:", "int64"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::Scalar(std::uint64_t{1} << 63); }, {"9223372036854775808"}));
  BOOST_TEST((y + (beyond - 1)).at<std::int64_t>({0}) == -beyond);  // sums wrap around
  BOOST_TEST(y.at({0}) == 1);
  BOOST_TEST(eg::full({1}, -0x1p63, wide).item<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
}

BOOST_AUTO_TEST_CASE(arange) {
  const auto holds = [](const Tensor& got, const std::vector<double>& expected, DType dtype) {
    BOOST_TEST((got.dtype() == dtype));
    BOOST_TEST(got.to_vector<double>() == expected, boost::test_tools::per_element());
  };
  holds(eg::arange(4), {0, 1, 2, 3}, DType::int64);
  holds(eg::arange(0), {}, DType::int64);
  holds(eg::arange(2, 9, 3), {2, 5, 8}, DType::int64);
  holds(eg::arange(2, 8, 3), {2, 5}, DType::int64);
  holds(eg::arange(5, 0, -2), {5, 3, 1}, DType::int64);
  holds(eg::arange(5, 1, -2), {5, 3}, DType::int64);
  holds(eg::arange(3, 5, -1), {}, DType::int64);
  holds(eg::arange(0.0, 1.0, 0.25, {DType::float64, {}}), {0, 0.25, 0.5, 0.75}, DType::float64);
  holds(eg::arange(1.0, 0.0, -0.5, {DType::float32, {}}), {1, 0.5}, DType::float32);
  holds(eg::arange(0, 3, 1, {DType::int32, {}}), {0, 1, 2}, DType::int32);
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::arange(0, 3, 0); }, {"arange", "step"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::arange(0, infinity); }, {"arange"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::arange(0, 3, not_a_number); }, {"arange"}));
  BOOST_TEST(eg::arange(70000).sum().item() == 70000.0 * 69999 / 2);
  // Integers are exact beyond 2^53, from end to end.
  const std::int64_t large = (std::int64_t{1} << 60) + 1;
  BOOST_TEST(eg::arange(large, large + 3).to_vector<std::int64_t>() ==
                 (std::vector<std::int64_t>{large, large + 1, large + 2}),
             boost::test_tools::per_element());
  constexpr auto least = std::numeric_limits<std::int64_t>::min(), most = std::numeric_limits<std::int64_t>::max();
  BOOST_TEST(eg::arange(least, most, std::int64_t{1} << 62).to_vector<std::int64_t>() ==
                 (std::vector<std::int64_t>{least, least / 2, 0, -(least / 2)}),
             boost::test_tools::per_element());
  BOOST_TEST(eg::arange(most, least, least).to_vector<std::int64_t>() == (std::vector<std::int64_t>{most, -1}),
             boost::test_tools::per_element());
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::arange(0, 1e300); }, {"arange", "1e+300", "counted"}));
  BOOST_TEST(refuses<eg::ValueError>([] { return eg::arange(least, most); }, {"arange", "counted"}));
  BOOST_TEST(refuses<eg::OutOfMemory>([] { return eg::arange(most); }, {"9223372036854775807"}));
}

BOOST_AUTO_TEST_CASE(drawn_tensors_depend_on_the_seed_alone) {
  for_computing_types([](DType dtype) {
    for (const auto& draw : {&eg::rand, &eg::randn}) {
      eg::Generator a(42), b(42), c(43);
      const Tensor first = draw({3, 5}, {dtype, {}}, a);
      BOOST_TEST((first.dtype() == dtype));
      BOOST_TEST(same_bits("same seed", draw({3, 5}, {dtype, {}}, b), first));
      BOOST_TEST(draw({3, 5}, {dtype, {}}, a).to_vector() != first.to_vector());
      BOOST_TEST(draw({3, 5}, {dtype, {}}, c).to_vector() != first.to_vector());
      BOOST_TEST(a.tick() == 2U);
      // Element i does not depend on how many are drawn.
      eg::Generator longer(42);
      const std::vector<double> more = draw({1000}, {dtype, {}}, longer).to_vector<double>();
      const std::vector<double> few = first.to_vector<double>();
      BOOST_TEST(std::equal(few.begin(), few.end(), more.begin()));
    }
  });
  eg::manual_seed(9);
  const Tensor one = eg::rand({4});
  eg::manual_seed(9);
  BOOST_TEST(same_bits("manual_seed", eg::rand({4}), one));
  BOOST_TEST(refuses<eg::DTypeError>([] { return eg::rand({2}, {DType::int64, {}}); }, {"rand", "int64"}));
  BOOST_TEST(refuses<eg::DTypeError>([] { return eg::randn({2}, {DType::bfloat16, {}}); }, {"randn", "bfloat16"}));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  const auto& refused = [](const Shape& shape) {
    for (const auto& make : std::vector<std::function<Tensor()>>{
             [&] { return eg::empty(shape); }, [&] { return eg::zeros(shape); }, [&] { return eg::ones(shape); },
             [&] { return eg::full(shape, 1); }, [&] { return eg::rand(shape); }, [&] { return eg::randn(shape); }}) {
      BOOST_TEST(refuses<eg::ShapeError>(make, {shape.to_string()}));
    }
  };
  refused({-1});
  refused({3, -2});
  refused({0, -1});
  const std::int64_t huge = std::int64_t{1} << 40;
  BOOST_TEST(refuses<eg::OutOfMemory>(
      [&] {
        return eg::empty({huge, huge});
      },
      {"[1099511627776, 1099511627776]", "more elements"}));
  BOOST_TEST(refuses<eg::OutOfMemory>([&] { return eg::zeros({huge, 1 << 10}, {DType::float64, {}}); }));
  BOOST_TEST(refuses<eg::OutOfMemory>(
      [&] {
        return eg::zeros({huge * 32}, {DType::float64, {}});
      },
      {"281474976710656 bytes"}));
  BOOST_TEST(refuses<eg::OutOfMemory>([&] { return eg::rand({std::numeric_limits<std::int64_t>::max()}); }));
  // Nothing is wanted of a shape with a zero, however large its other extents.
  BOOST_TEST(eg::zeros({1 << 20, 0, 1 << 20}).numel() == 0);
  // A refusal leaves the pools as they were.
  BOOST_TEST(eg::ones({3}).sum().item() == 3);
  BOOST_TEST(refuses<eg::ShapeError>([] { return eg::zeros({1, 1, 1, 1, 1, 1, 1, 1, 1}); }, {"8"}));
  BOOST_TEST(eg::zeros({1, 1, 1, 1, 1, 1, 1, 1}).dim() == 8);
}

BOOST_AUTO_TEST_CASE(a_device_that_is_not_there) {
  if (eg::cuda_is_available()) return;
  const eg::Device gpu = eg::Device::cuda(1);
  BOOST_TEST(gpu.to_string() == "cuda:1");
  BOOST_TEST(eg::Device::cpu().to_string() == "cpu");
  BOOST_TEST(refuses<eg::DeviceError>([&] { return eg::zeros({2}, {DType::float32, gpu}); }, {"cuda:1"}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return eg::tensor({1, 2}, {DType::int64, gpu}); }, {"cuda:1"}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return eg::arange(0, 4, 1, {DType::int64, gpu}); }, {"cuda:1"}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return eg::rand({2}, {DType::float32, gpu}); }, {"cuda:1"}));
  BOOST_TEST(refuses<eg::DeviceError>([&] { return eg::ones({2}).to(gpu); }, {"cuda:1"}));
  const Tensor here = eg::ones({2});
  BOOST_TEST(here.to(eg::Device::cpu()).state() == here.state());
}

BOOST_AUTO_TEST_CASE(threads_are_at_least_one) {
  BOOST_TEST(refuses<eg::ValueError>([] { eg::set_num_threads(0); }, {"set_num_threads", "0"}));
  BOOST_TEST(eg::num_threads() >= 1);
}

// --- elements

BOOST_AUTO_TEST_CASE(reading_elements) {
  const Tensor x = eg::arange(24).reshape({2, 3, 4});
  BOOST_TEST(x.at<std::int64_t>({1, 2, 3}) == 23);
  BOOST_TEST(x.at({-1, -3, 0}) == 12);
  BOOST_TEST(x[1][0].at({2}) == 14);
  BOOST_TEST(x[-1][-1][-1].item<int>() == 23);
  BOOST_TEST(eg::tensor({{2.75}}).item<int>() == 2);
  BOOST_TEST(eg::tensor({{2.75}}).item<float>() == 2.75F);
  BOOST_TEST(eg::tensor({2.75}).to(DType::bfloat16).item() == 2.75);
  BOOST_TEST(refuses<eg::ValueError>([&] { return x.item(); }, {"item", "[2, 3, 4]"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { return eg::zeros({0}).item(); }, {"item", "[0]"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return x.at({2, 0, 0}); }, {"[2, 3, 4]"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return x.at({0, -4, 0}); }, {"-4"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return x.at({0, 0}); }, {"[2, 3, 4]"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return x[2]; }, {"2", "[2, 3, 4]"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return x[-3]; }, {"-3"}));
  BOOST_TEST(refuses<eg::IndexError>([] { return eg::tensor(1)[0]; }));
  BOOST_TEST(x.size(0) == 2);
  BOOST_TEST(x.size(-1) == 4);
  BOOST_TEST(refuses<eg::IndexError>([&] { return x.size(3); }, {"3", "[2, 3, 4]"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { return x.size(-4); }));

  const Tensor table = eg::tensor({1.5, -2.5});
  BOOST_TEST(table.data<float>()[1] == -2.5F);
  BOOST_TEST(table.to_vector<std::int32_t>() == (std::vector<std::int32_t>{1, -2}), boost::test_tools::per_element());
  BOOST_TEST(refuses<eg::DTypeError>([&] { return table.data<double>(); }, {"float64", "float32"}));
}

BOOST_AUTO_TEST_CASE(writing_elements) {
  Tensor x = eg::zeros({2, 3});
  x.set({1, -1}, 2.5);
  x.set({0, 0}, 1);
  BOOST_TEST(x.to_vector() == (std::vector<float>{1, 0, 0, 0, 0, 2.5}), boost::test_tools::per_element());
  x.mutable_data<float>()[1] = 7;
  BOOST_TEST(x.at({0, 1}) == 7);
  x[1].fill(4);  // a view
  BOOST_TEST(x.to_vector() == (std::vector<float>{1, 7, 0, 4, 4, 4}), boost::test_tools::per_element());
  x.copy_from(eg::tensor({{1, 2, 3}, {4, 5, 6}}));
  BOOST_TEST(x.at({1, 2}) == 6);
  BOOST_TEST(refuses<eg::ShapeError>([&] { x.copy_from(eg::zeros({3, 2})); }, {"copy_from", "[2, 3]", "[3, 2]"}));
  BOOST_TEST(refuses<eg::IndexError>([&] { x.set({2, 0}, 1); }));
  BOOST_TEST(refuses<eg::DTypeError>([&] { return x.mutable_data<double>(); }));
  Tensor counts = eg::zeros({2}, {DType::int64, {}});
  counts.set({0}, 3.9);
  BOOST_TEST(counts.at({0}) == 3);
}

// Moving elements within one storage is what a ring buffer does.
BOOST_AUTO_TEST_CASE(copies_between_overlapping_views) {
  for (const std::int64_t n : {10, 600000}) {
    BOOST_TEST_CONTEXT(n << " elements") {
      Tensor x = eg::arange(n);
      eg::narrow(x, 0, 1, n - 1).copy_from(eg::narrow(x, 0, 0, n - 1));
      const Tensor expected = eg::cat({eg::zeros({1}, {DType::int64, {}}), eg::arange(n - 1)});
      BOOST_TEST(equal_to("moved up", x, expected));
    }
  }
}

BOOST_AUTO_TEST_CASE(reshaping) {
  const Tensor x = eg::arange(12);
  BOOST_TEST((x.reshape({3, 4}).shape() == Shape{3, 4}));
  BOOST_TEST((x.reshape({-1, 6}).shape() == Shape{2, 6}));
  BOOST_TEST((x.view({2, -1, 3}).shape() == Shape{2, 2, 3}));
  BOOST_TEST(x.reshape({3, -1}).at({2, 1}) == 9);
  BOOST_TEST((eg::tensor(5).reshape({1, 1}).shape() == Shape{1, 1}));
  BOOST_TEST((eg::tensor({{5}}).reshape({}).shape() == Shape{}));
  BOOST_TEST((eg::zeros({0, 3}).reshape({3, 0, 2}).shape() == Shape{3, 0, 2}));
  BOOST_TEST((eg::zeros({0, 3}).reshape({-1}).shape() == Shape{0}));
  BOOST_TEST((eg::zeros({0, 3}).reshape({-1, 5}).shape() == Shape{0, 5}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return x.reshape({5, 2}); }, {"reshape", "[12]", "[5, 2]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return x.reshape({-1, 5}); }, {"reshape", "[12]", "[-1, 5]"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return x.reshape({-1, -1}); }, {"reshape", "-1"}));
  BOOST_TEST(refuses<eg::ShapeError>([&] { return x.reshape({-2, -6}); }, {"reshape", "[-2, -6]"}));
  BOOST_TEST(refuses<eg::ShapeError>([] { return eg::zeros({0, 3}).reshape({0, -1}); }, {"reshape", "ambiguous"}));
  const std::int64_t half = std::int64_t{1} << 32;
  BOOST_TEST(refuses<eg::ShapeError>([&] { return x.reshape({half, half, 12}); }, {"reshape"}));
  // 4 (2^62 + 3) is 12 to who forgets the overflow
  BOOST_TEST(refuses<eg::ShapeError>([&] { return x.reshape({4, (std::int64_t{1} << 62) + 3}); }, {"reshape"}));
}

BOOST_AUTO_TEST_CASE(views_share_and_copies_do_not) {
  Tensor x = eg::arange(24).to(DType::float32).reshape({4, 6});
  Tensor alias = x;
  Tensor shape_view = x.reshape({2, 12});
  Tensor row = x[2];
  Tensor rows = eg::narrow(x, 0, 1, 2);
  Tensor element = x[3][5];
  for (Tensor* view : {&alias, &shape_view, &row, &rows, &element}) BOOST_TEST(view->shares_storage_with(x));
  for (const Tensor& copy : {x.clone(), eg::transpose(x, 0, 1), eg::narrow(x, 1, 0, 2), x.to(DType::float64)}) {
    BOOST_TEST(!copy.shares_storage_with(x));
  }
  row.set({0}, -1);
  BOOST_TEST(x.at({2, 0}) == -1);
  BOOST_TEST(rows.at({1, 0}) == -1);
  BOOST_TEST(shape_view.at({1, 0}) == -1);
  element.fill(50);
  BOOST_TEST(x.at({3, 5}) == 50);
  BOOST_TEST(x.version() == 2U);
  for (Tensor* view : {&alias, &shape_view, &row, &rows, &element}) BOOST_TEST(view->version() == 2U);

  // The elements outlive the handle they came from.
  x = Tensor();
  BOOST_TEST(rows.at({1, 0}) == -1);
  BOOST_TEST(!Tensor().shares_storage_with(rows));
}

BOOST_AUTO_TEST_CASE(clone_and_detach) {
  Draw draw(3);
  const Tensor x = leaf(draw, {2, 3});
  const Tensor copy = x.clone();
  BOOST_TEST(same_bits("clone", copy.detach(), x.detach()));
  BOOST_TEST(copy.requires_grad());
  BOOST_TEST(!copy.is_leaf());
  eg::sum(copy * copy).backward();
  BOOST_TEST(close_to("through clone", grad_of(x), 2.0 * x.detach()));

  Tensor detached = x.detach();
  BOOST_TEST(!detached.requires_grad());
  BOOST_TEST(detached.is_leaf());
  BOOST_TEST(detached.shares_storage_with(x));
  detached.fill(1);
  BOOST_TEST(x.at({1, 1}) == 1);
  BOOST_TEST(x.version() == 1U);
  for (const DType dtype : all_types) {
    const Tensor numbers = eg::tensor({1, 2, 3}, {dtype, {}});
    BOOST_TEST(same_bits(eg::name_of(dtype), numbers.clone(), numbers));
  }
}

// --- in place, under version tracking

BOOST_AUTO_TEST_CASE(every_change_is_counted_and_no_reading) {
  Tensor x = eg::ones({3});
  const auto changes = [&](std::uint64_t expected, auto&& change) {
    const std::uint64_t before = x.version();
    change();
    BOOST_TEST(x.version() - before == expected);
  };
  changes(1, [&] { x.fill(2); });
  changes(1, [&] { x.set({0}, 2); });
  changes(1, [&] { x.copy_from(eg::zeros({3})); });
  changes(1, [&] { static_cast<void>(x.mutable_data<float>()); });
  changes(0, [&] {
    static_cast<void>(x.to_vector());
    static_cast<void>(x[0].item<float>());
    static_cast<void>(x.at({0}));
    static_cast<void>(x.data<float>());
    static_cast<void>(x + x);
    static_cast<void>(x.clone());
    static_cast<void>(x[0]);
    static_cast<void>(printed(x));
  });
  changes(0, [&] {
    BOOST_CHECK_THROW(x.copy_from(eg::zeros({4})), eg::ShapeError);
    BOOST_CHECK_THROW(x.set({3}, 1), eg::IndexError);
    BOOST_CHECK_THROW(static_cast<void>(x.mutable_data<double>()), eg::DTypeError);
  });
}

BOOST_AUTO_TEST_CASE(a_tensor_that_wants_a_gradient_is_changed_under_no_grad_only) {
  Draw draw(4);
  Tensor x = leaf(draw, {2});
  const std::vector<double> before = x.to_vector<double>();
  BOOST_TEST(refuses<eg::ValueError>([&] { x.fill(0); }, {"fill", "[2]", "no_grad"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { x.set({0}, 0); }, {"set", "no_grad"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { x.copy_from(eg::zeros({2})); }, {"copy_from", "no_grad"}));
  // Nor is a change a place where the tape ends in silence.
  Tensor plain = eg::zeros({2}, {DType::float64});
  BOOST_TEST(refuses<eg::ValueError>([&] { plain.copy_from(x * 2.0); }, {"copy_from", "source", "detach"}));
  plain.copy_from((x * 2.0).detach());
  BOOST_TEST(refuses<eg::ValueError>([&] { return x.mutable_data<double>(); }, {"mutable_data", "no_grad"}));
  BOOST_TEST(refuses<eg::ValueError>([&] { x[0].fill(0); }, {"fill"}));
  BOOST_TEST(x.version() == 0U);
  BOOST_TEST(x.to_vector<double>() == before, boost::test_tools::per_element());
  eg::no_grad([&] { x.fill(3); });
  eg::no_grad([&] { x[1].fill(4); });
  BOOST_TEST(x.to_vector<double>() == (std::vector<double>{3, 4}), boost::test_tools::per_element());
  BOOST_TEST(x.requires_grad());
}

// Each op whose derivative needs its input or output notices that it was changed; the others don't care.
BOOST_AUTO_TEST_CASE(backward_refuses_when_what_it_needs_was_changed) {
  Draw draw(5);
  constexpr unsigned nothing = 0, input = 1, output = 2;
  struct Case {
    const char* op;
    std::function<Tensor(const Tensor&)> run;
    unsigned needs;
  };
  const Tensor square = draw.uniform({2, 2}, DType::float64, 0.5, 1.0);
  const std::vector<Case> cases = {
      {"mul", [](const Tensor& x) { return x * x; }, input},
      {"mul", [&](const Tensor& x) { return x * square; }, nothing},
      {"mul", [](const Tensor& x) { return x * 2.0; }, nothing},
      {"div", [](const Tensor& x) { return x / x; }, input},
      {"rdiv", [](const Tensor& x) { return 1.0 / x; }, input | output},
      {"exp", [](const Tensor& x) { return eg::exp(x); }, output},
      {"log", [](const Tensor& x) { return eg::log(x); }, input},
      {"sigmoid", [](const Tensor& x) { return eg::sigmoid(x); }, output},
      {"tanh", [](const Tensor& x) { return eg::tanh(x); }, output},
      {"relu", [](const Tensor& x) { return eg::relu(x); }, output},
      {"softmax", [](const Tensor& x) { return eg::softmax(x, 1); }, output},
      {"log_softmax", [](const Tensor& x) { return eg::log_softmax(x, 1); }, output},
      {"matmul", [](const Tensor& x) { return eg::matmul(x, x); }, input},
      {"linear", [](const Tensor& x) { return eg::linear(x, x); }, input},
      {"add", [](const Tensor& x) { return x + x; }, nothing},
      {"sub", [](const Tensor& x) { return x - 1.0; }, nothing},
      {"neg", [](const Tensor& x) { return -x; }, nothing},
      {"sum", [](const Tensor& x) { return eg::sum(x, {0}); }, nothing},
      {"mean", [](const Tensor& x) { return eg::mean(x, {1}); }, nothing},
      {"transpose", [](const Tensor& x) { return eg::transpose(x, 0, 1); }, nothing},
      {"cat",
       [](const Tensor& x) {
         return eg::cat({x, x});
       },
       nothing},
  };
  for (const Case& one : cases) {
    for (const unsigned changed : {input, output}) {
      BOOST_TEST_CONTEXT(one.op << (changed == input ? ", input changed" : ", output changed")) {
        const Tensor x = leaf(draw, {2, 2}, DType::float64, 0.5, 1.0);
        const Tensor y = one.run(x);
        Tensor target = (changed == input ? x : y).detach();
        target.fill(0.75);
        const auto backward = [&] { y.backward(eg::ones(y.shape(), y.options())); };
        if ((one.needs & changed) != 0) {
          BOOST_TEST(
              refuses<eg::ValueError>(backward, {std::string("backward of ") + one.op, "changed in place", "[2, 2]"}));
          BOOST_TEST(!x.grad().defined());
        } else {
          BOOST_CHECK_NO_THROW(backward());
          BOOST_TEST(x.grad().defined());
        }
      }
    }
  }
  // A view changed counts for the whole storage.
  const Tensor x = leaf(draw, {2, 2});
  const Tensor y = x * x;
  x.detach()[1].fill(0);
  BOOST_TEST(refuses<eg::ValueError>([&] { eg::sum(y).backward(); }, {"backward of mul"}));
}

// --- conversions

namespace {

// To the nearest number with `bits` of mantissa after the leading one, ties to even, by another road than bit tricks.
double rounded(double x, int bits, int least_exponent, double largest) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int exponent = std::max(std::ilogb(x), least_exponent);
  const double nearest = std::ldexp(std::nearbyint(std::ldexp(x, bits - exponent)), exponent - bits);
  return std::abs(nearest) > largest ? std::copysign(infinity, x) : nearest;
}

double saturated(double x, double low, double high) {
  return std::isnan(x) ? 0 : std::trunc(std::min(std::max(x, low), high)) + 0.0;  // no negative zero
}

double converted(double x, DType from, DType to) {
  if (from == DType::int64 && to == DType::int32) {  // wraps around; the largest int64 is 2^63 as a double
    const std::int64_t wide = x >= 0x1p63 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(x);
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(wide));
  }
  switch (to) {
    case DType::float32:
      return rounded(x, 23, -126, std::numeric_limits<float>::max());
    case DType::float64:
      return x;
    case DType::float16:
      return rounded(x, 10, -14, 65504);
    case DType::bfloat16:
      return rounded(x, 7, -126, 0x1.FEp127);
    case DType::int32:
      return saturated(x, -2147483648.0, 2147483647.0);
    case DType::int64:
      return saturated(x, -9223372036854775808.0, 9223372036854775807.0);
  }
  return x;
}

}  // namespace

BOOST_AUTO_TEST_CASE(conversions_between_all_types) {
  Draw draw(6);
  std::vector<double> values = {
      0,     -0.0,  1,      -1,    0.5,      -2.5,      3.99,         255,        257,          65504,
      65520, 70000, -70000, 1e6,   16777217, 1e10,      -1e10,        1e38,       3e38,         -1e300,
      1e-5,  6e-8,  2e-8,   1e-40, infinity, -infinity, not_a_number, 2147483647, 2147483648.0, 1e18};
  for (int i = 0; i < 200; ++i)
    values.push_back(std::ldexp(draw.uniform(-1, 1), static_cast<int>(draw.integer(-30, 30))));
  const Tensor source = eg::tensor(values);
  for (const DType from : all_types) {
    for (const DType to : all_types) {
      BOOST_TEST_CONTEXT(eg::name_of(from) << " to " << eg::name_of(to)) {
        const Tensor first = source.to(from);
        const Tensor got = first.to(to);
        BOOST_TEST((got.dtype() == to));
        BOOST_TEST((got.state() == first.state()) == (from == to));  // the same handle if nothing changes
        const std::vector<double> numbers = got.to_vector<double>();
        std::string first_wrong;
        for (std::size_t i = 0; i < values.size() && first_wrong.empty(); ++i) {
          const double expected = converted(converted(values[i], DType::float64, from), from, to);
          const bool same = std::isnan(expected)
                                ? std::isnan(numbers[i])
                                : numbers[i] == expected && std::signbit(numbers[i]) == std::signbit(expected);
          if (!same) first_wrong = fmt::format("{} became {}, expected {}", values[i], numbers[i], expected);
        }
        BOOST_TEST(first_wrong.empty(), first_wrong);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(roundings_to_16_bits_at_known_places) {
  const auto bits16 = [](double x, DType to) {
    const Tensor converted_tensor = eg::tensor(std::vector<double>{x}).to(DType::float32).to(to);
    return to == DType::float16 ? converted_tensor.data<eg::Float16>()->bits
                                : converted_tensor.data<eg::BFloat16>()->bits;
  };
  const std::vector<std::pair<double, int>> half = {
      {1, 0x3C00},           {-2, 0xC000},          {65504, 0x7BFF},       {65519.99, 0x7BFF},    {65520, 0x7C00},
      {-1e9, 0xFC00},        {0x1p-24, 0x0001},     {0x1p-25, 0x0000},     {0x1.8p-25, 0x0001},   {0x1p-14, 0x0400},
      {0x1.FF8p-15, 0x03FF}, {0x1.FFBp-15, 0x03FF}, {0x1.FFCp-15, 0x0400}, {1 + 0x1p-11, 0x3C00}, {1 + 0x3p-11, 0x3C02},
      {infinity, 0x7C00},    {-0.0, 0x8000},        {1.0 / 3, 0x3555}};
  for (const auto& [value, bits] : half) BOOST_TEST(bits16(value, DType::float16) == bits, value);
  const std::vector<std::pair<double, int>> brain = {
      {1, 0x3F80},       {-2, 0xC000},         {1 + 0x1p-8, 0x3F80}, {1 + 0x3p-8, 0x3F82}, {1 + 0x1.01p-8, 0x3F81},
      {3.4e38, 0x7F80},  {0x1.FEp127, 0x7F7F}, {-0.0, 0x8000},       {1.0 / 3, 0x3EAB},    {0x1p-133, 0x0001},
      {infinity, 0x7F80}};
  for (const auto& [value, bits] : brain) BOOST_TEST(bits16(value, DType::bfloat16) == bits, value);
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    BOOST_TEST(std::isnan(eg::tensor({not_a_number}).to(dtype).item()));
    BOOST_TEST(std::isnan(eg::tensor({std::numeric_limits<double>::signaling_NaN()}).to(dtype).item()));
  }
}

BOOST_AUTO_TEST_CASE(every_16_bit_number_survives_float32) {
  std::vector<eg::Float16> half;
  std::vector<eg::BFloat16> brain;
  for (int bits = 0; bits < 65536; ++bits) {
    half.push_back({static_cast<std::uint16_t>(bits)});
    brain.push_back({static_cast<std::uint16_t>(bits)});
  }
  const auto check = [](const Tensor& all, int mantissa_bits) {
    const std::vector<float> wide = all.to(DType::float32).to_vector();
    const std::vector<unsigned char> back = bits_of(all.to(DType::float32).to(all.dtype()));
    const int exponent_bits = 15 - mantissa_bits;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    int wrong = 0;
    for (int bits = 0; bits < 65536; ++bits) {
      const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
      const int mantissa = bits & ((1 << mantissa_bits) - 1);
      double value = exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                                   : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
      if (exponent == (1 << exponent_bits) - 1) value = mantissa == 0 ? infinity : not_a_number;
      if ((bits & 0x8000) != 0) value = -value;
      const auto at = static_cast<std::size_t>(bits);
      const int returned = back[2 * at] + 256 * back[2 * at + 1];
      if (std::isnan(value)) {
        wrong += std::isnan(wide[at]) ? 0 : 1;
      } else {
        wrong += static_cast<double>(wide[at]) == value && returned == bits ? 0 : 1;
      }
    }
    BOOST_TEST(wrong == 0, eg::name_of(all.dtype()));
  };
  check(eg::tensor(half), 10);
  check(eg::tensor(brain), 7);
}

BOOST_AUTO_TEST_CASE(conversion_is_on_the_tape_between_floating_types) {
  Draw draw(7);
  const Tensor x = leaf(draw, {3}, DType::float32);
  const Tensor wide = x.to(DType::float64);
  BOOST_TEST(wide.requires_grad());
  eg::sum(wide * wide).backward();
  BOOST_TEST((x.grad().dense().dtype() == DType::float32));
  BOOST_TEST(close_to("grad", grad_of(x), 2.0 * x.detach()));
  BOOST_TEST(!x.to(DType::int64).requires_grad());
  const Tensor table = leaf(draw, {3}, DType::float32).detach().to(DType::bfloat16).set_requires_grad();
  eg::sum(table.to(DType::float32) * 3.0).backward();
  BOOST_TEST(equal_to("grad", grad_of(table), eg::full({3}, 3)));  // gradients of 16-bit tensors are float32
}

// --- printing

BOOST_AUTO_TEST_CASE(prints_values_shape_dtype_and_device) {
  BOOST_TEST(printed(eg::tensor(2.5)) == "tensor(2.5000, shape=[], float32, cpu)");
  BOOST_TEST(printed(eg::tensor({1, -20, 300})) == "tensor([  1, -20, 300], shape=[3], int64, cpu)");
  BOOST_TEST(printed(eg::tensor({{1.0, 2.5}, {-0.125, 10.0}}, {DType::float64, {}})) ==
             "tensor([[ 1.0000,  2.5000],\n"
             "        [-0.1250, 10.0000]], shape=[2, 2], float64, cpu)");
  BOOST_TEST(printed(eg::tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}})) ==
             "tensor([[[1, 2],\n"
             "         [3, 4]],\n"
             "\n"
             "        [[5, 6],\n"
             "         [7, 8]]], shape=[2, 2, 2], int64, cpu)");
  BOOST_TEST(printed(eg::tensor({not_a_number, infinity, -infinity})) ==
             "tensor([ nan,  inf, -inf], shape=[3], float32, cpu)");
  BOOST_TEST(printed(eg::tensor({1e-6, 2e5})) == "tensor([1.0000e-06, 2.0000e+05], shape=[2], float32, cpu)");
  BOOST_TEST(printed(eg::zeros({0, 3})) == "tensor([], shape=[0, 3], float32, cpu)");
  BOOST_TEST(printed(Tensor()) == "tensor(undefined)");
  BOOST_TEST(printed(eg::tensor({1.0}).to(DType::bfloat16)) == "tensor([1.0000], shape=[1], bfloat16, cpu)");
  Tensor x = eg::tensor({1.0}).set_requires_grad();
  BOOST_TEST(printed(x) == "tensor([1.0000], shape=[1], float32, cpu, requires_grad)");
  BOOST_TEST(printed(x * 2.0) == "tensor([2.0000], shape=[1], float32, cpu, requires_grad)");
  // Integers print as they are.
  BOOST_TEST(printed(eg::tensor({9007199254740993, 9223372036854775807})) ==
             "tensor([   9007199254740993, 9223372036854775807], shape=[2], int64, cpu)");
}

BOOST_AUTO_TEST_CASE(prints_the_edges_of_large_tensors) {
  BOOST_TEST(printed(eg::arange(2000)) ==
             "tensor([   0,    1,    2, ..., 1997, 1998, 1999], shape=[2000], int64, cpu)");
  const std::string whole = printed(eg::arange(1000));
  BOOST_TEST(whole.find("...") == std::string::npos);
  BOOST_TEST(whole.find(" 500,") != std::string::npos);
  std::istringstream lines(whole);
  for (std::string line; std::getline(lines, line);) BOOST_TEST(line.size() <= 110U, line);

  const std::string table = printed(eg::arange(10000).reshape({100, 100}));
  BOOST_TEST(table ==
             "tensor([[   0,    1,    2, ...,   97,   98,   99],\n"
             "        [ 100,  101,  102, ...,  197,  198,  199],\n"
             "        [ 200,  201,  202, ...,  297,  298,  299],\n"
             "        ...,\n"
             "        [9700, 9701, 9702, ..., 9797, 9798, 9799],\n"
             "        [9800, 9801, 9802, ..., 9897, 9898, 9899],\n"
             "        [9900, 9901, 9902, ..., 9997, 9998, 9999]], shape=[100, 100], int64, cpu)");
  BOOST_TEST(printed(eg::zeros({50, 50, 50})).size() < 4000U);
  BOOST_TEST(printed(eg::zeros({1 << 20})).size() < 200U);
}

// --- what is not there

BOOST_AUTO_TEST_CASE(the_undefined_tensor_is_refused_by_name) {
  const Tensor none;
  BOOST_TEST(!none.defined());
  for (const auto& use : std::vector<std::function<void()>>{[&] { static_cast<void>(none.shape()); },
                                                            [&] { static_cast<void>(none.numel()); },
                                                            [&] { static_cast<void>(none.dtype()); },
                                                            [&] { static_cast<void>(none.device()); },
                                                            [&] { static_cast<void>(none.version()); },
                                                            [&] { static_cast<void>(none.item()); },
                                                            [&] { static_cast<void>(none.to_vector()); },
                                                            [&] { static_cast<void>(none.data<float>()); },
                                                            [&] { static_cast<void>(none.clone()); },
                                                            [&] { static_cast<void>(none.detach()); },
                                                            [&] { static_cast<void>(none.to(DType::float64)); },
                                                            [&] { static_cast<void>(none.grad()); },
                                                            [&] { static_cast<void>(none[0]); },
                                                            [&] { none.backward(); },
                                                            [&] { static_cast<void>(none.reshape({1})); },
                                                            [&] { Tensor().fill(1); },
                                                            [&] { eg::ones({1}).copy_from(none); },
                                                            [&] { Tensor().set_requires_grad(); },
                                                            [&] { static_cast<void>(none.requires_grad()); },
                                                            [&] { static_cast<void>(none.is_leaf()); }}) {
    BOOST_TEST(refuses<eg::ValueError>(use, {"undefined"}));
  }
}

BOOST_AUTO_TEST_SUITE_END()
