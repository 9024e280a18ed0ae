#include <boost/test/unit_test.hpp>
#include <embergrad/error.hpp>
#include <embergrad/text/bags.hpp>
#include <vector>

namespace {

using embergrad::DType;
using embergrad::ShapeError;
using embergrad::Tensor;
namespace eg_text = embergrad::text;
using embergrad::text::Ids;

using Numbers = std::vector<int64_t>;

void check(const Tensor& tensor, const Numbers& expected) {
  BOOST_TEST((tensor.dtype() == DType::int64));
  BOOST_TEST((tensor.shape() == embergrad::Shape{static_cast<int64_t>(expected.size())}));
  BOOST_TEST(tensor.to_vector<int64_t>() == expected, boost::test_tools::per_element());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bags)

BOOST_AUTO_TEST_CASE(joins_lists) {
  const auto [input, offsets] = eg_text::bags({{4, 2}, {}, {7}});
  check(input, {4, 2, 7});
  check(offsets, {0, 2, 2});
  const std::vector<Numbers> held = {{}, {1}, {2, 3}, {}};
  const auto last = eg_text::bags(held, {.include_last_offset = true});
  check(last.input, {1, 2, 3});
  check(last.offsets, {0, 0, 1, 3, 3});
  const Numbers one = {5, 6, 7};
  const std::vector<Ids> views = {Ids(one).first(2), Ids(one)};
  const auto viewed = eg_text::bags(views);
  check(viewed.input, {5, 6, 5, 6, 7});
  check(viewed.offsets, {0, 2});
}

BOOST_AUTO_TEST_CASE(nothing_to_join) {
  const auto none = eg_text::bags(std::vector<Numbers>());
  check(none.input, {});
  check(none.offsets, {});
  check(eg_text::bags(std::vector<Numbers>(), {.include_last_offset = true}).offsets, {0});
  const auto empty = eg_text::bags({{}, {}});
  check(empty.input, {});
  check(empty.offsets, {0, 0});
}

BOOST_AUTO_TEST_CASE(weights_go_with_their_ids) {
  const auto [input, offsets, weights] = eg_text::weighted_bags({{4, 2}, {}, {7}}, {{0.5F, 2.0F}, {}, {-1.0F}});
  check(input, {4, 2, 7});
  check(offsets, {0, 2, 2});
  BOOST_TEST((weights.dtype() == DType::float32));
  BOOST_TEST(weights.to_vector() == (std::vector<float>{0.5F, 2.0F, -1.0F}), boost::test_tools::per_element());
  BOOST_CHECK_EXCEPTION((void)eg_text::weighted_bags({{1}, {2, 3}}, {{1.0F}, {1.0F}}), ShapeError,
                        [](const ShapeError& error) {
                          return std::string(error.what()) == "weighted_bags: bag 1 has 1 weights for 2 ids";
                        });
  BOOST_CHECK_THROW((void)eg_text::weighted_bags(std::vector<Numbers>{{1}}, std::vector<std::vector<float>>()),
                    ShapeError);
}

BOOST_AUTO_TEST_SUITE_END()
