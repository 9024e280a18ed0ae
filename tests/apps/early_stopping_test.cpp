#include <boost/test/unit_test.hpp>
#include <embergrad/embergrad.hpp>
#include <embergrad/report/early_stopping.hpp>
#include <limits>
#include <string>
#include <vector>

namespace {

using embergrad::FormatError;
using embergrad::ValueError;
using embergrad::report::EarlyStopping;
using embergrad::report::EarlyStoppingOptions;
using embergrad::report::StoppingMode;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// A mark a value: `+` better, `-` not; `!` in place of it where `should_stop` holds then.
std::string marks(EarlyStopping stopping, const std::vector<double>& values) {
  std::string text;
  std::int64_t step = 0;
  for (const double value : values) {
    const bool better = stopping.update(value, ++step);
    text += stopping.should_stop() ? '!' : (better ? '+' : '-');
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(early_stopping)

BOOST_AUTO_TEST_CASE(counts_values_that_are_not_better) {
  BOOST_TEST(marks(EarlyStopping(), {1.0, 0.5, 0.5, 0.6, 0.4, 0.4, 0.5, 0.7, 0.1}) == "++--+--!!");
  BOOST_TEST(marks(EarlyStopping({.patience = 2, .mode = StoppingMode::max}), {0.1, 0.2, 0.1, 0.3, 0.3, 0.2}) ==
             "++-+-!");
  for (const std::int64_t patience : {0, 1}) {
    BOOST_TEST(marks(EarlyStopping({.patience = patience}), {1.0, 0.5, 0.5}) == "++!");
  }
}

BOOST_AUTO_TEST_CASE(min_delta_has_to_be_beaten) {
  BOOST_TEST(marks(EarlyStopping({.min_delta = 0.25}), {1.0, 0.75, 0.5, 0.25, 0.0}) == "+-+-+");
  BOOST_TEST(marks(EarlyStopping({.min_delta = 0.25, .mode = StoppingMode::max}), {1.0, 1.25, 1.5}) == "+-+");
}

BOOST_AUTO_TEST_CASE(what_is_no_number) {
  BOOST_TEST(marks(EarlyStopping(), {1.0, not_a_number}) == "+!");
  BOOST_TEST(marks(EarlyStopping(), {infinity}) == "!");
  BOOST_TEST(marks(EarlyStopping({.mode = StoppingMode::max}), {infinity}) == "!");
  BOOST_TEST(marks(EarlyStopping({.check_finite = false}),
                   {not_a_number, infinity, not_a_number, 1.0, not_a_number, infinity, not_a_number}) == "-+-+--!");
  EarlyStopping stopping({.mode = StoppingMode::max});
  stopping.update(0.5, 7);
  stopping.update(infinity, 8);
  BOOST_TEST(stopping.best().value() == 0.5);
  BOOST_TEST(stopping.best_step() == 7);
}

BOOST_AUTO_TEST_CASE(says_what_was_best) {
  EarlyStopping stopping;
  BOOST_TEST(!stopping.best().has_value());
  BOOST_TEST(stopping.best_step() == 0);
  stopping.update(2.0, 10);
  stopping.update(1.0, 20);
  stopping.update(1.5, 30);
  BOOST_TEST(stopping.best().value() == 1.0);
  BOOST_TEST(stopping.best_step() == 20);
  BOOST_TEST(stopping.waited() == 1);
  BOOST_CHECK_THROW(EarlyStopping({.patience = -1}), ValueError);
  BOOST_CHECK_THROW(EarlyStopping({.min_delta = -0.1}), ValueError);
  BOOST_CHECK_THROW(EarlyStopping({.min_delta = not_a_number}), ValueError);
  BOOST_CHECK_THROW(EarlyStopping({.min_delta = infinity}), ValueError);
}

BOOST_AUTO_TEST_CASE(goes_on_from_its_state_at_every_place) {
  const std::vector<double> values = {0.3,  0.1,    1.0 / 3, not_a_number, infinity,  0.1,
                                      -0.0, 5e-324, 0.2,     0.3,          -infinity, 0.4};
  for (const StoppingMode mode : {StoppingMode::min, StoppingMode::max}) {
    for (const bool check_finite : {false, true}) {
      const EarlyStoppingOptions options{.patience = 3, .mode = mode, .check_finite = check_finite};
      const std::string all = marks(EarlyStopping(options), values);
      EarlyStopping first(options);
      for (std::size_t cut = 0; cut <= values.size(); ++cut) {
        EarlyStopping second(options);
        second.load_state(first.state());
        BOOST_TEST(second.state() == first.state());
        BOOST_TEST(marks(second, {values.begin() + static_cast<std::ptrdiff_t>(cut), values.end()}) == all.substr(cut));
        BOOST_TEST((second.best() == first.best()));
        if (cut < values.size()) first.update(values[cut], static_cast<std::int64_t>(cut));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(refuses_other_states_and_keeps_its_own) {
  EarlyStopping stopping;
  stopping.update(0.25, 4);
  const std::string before = stopping.state();
  BOOST_TEST(before == R"({"best":0.25,"best_step":4,"stopped":false,"waited":0})");
  for (const char* text :
       {"", "{", "[]", "null", "{}", R"({"best":0.25,"best_step":4,"stopped":false})",
        R"({"best":"x","best_step":4,"stopped":false,"waited":0})",
        R"({"best":1,"best_step":4.5,"stopped":false,"waited":0})",
        R"({"best":1,"best_step":18446744073709551615,"stopped":false,"waited":0})",
        R"({"best":1,"best_step":1,"stopped":0,"waited":0})", R"({"best":1,"best_step":1,"stopped":true,"waited":-1})",
        R"({"best":[1],"best_step":1,"stopped":true,"waited":1})"}) {
    BOOST_CHECK_THROW(stopping.load_state(text), FormatError);
  }
  BOOST_TEST(stopping.state() == before);
}

BOOST_AUTO_TEST_CASE(brings_the_best_weights_back) {
  embergrad::nn::Linear model(2, 2);
  embergrad::nn::Linear other(3, 2);
  EarlyStopping stopping({.patience = 1});
  BOOST_CHECK_THROW(stopping.restore(model), ValueError);
  const auto fill = [&](double value) { embergrad::no_grad([&] { model.weight.fill(value); }); };
  fill(1);
  BOOST_TEST(stopping.update(3.0, 1, model));
  fill(2);
  BOOST_TEST(stopping.update(2.0, 2, model));
  fill(3);
  BOOST_TEST(!stopping.update(2.5, 3, model));
  BOOST_TEST(stopping.should_stop());
  stopping.restore(model);
  BOOST_TEST(model.weight.to_vector() == std::vector<float>(4, 2.0F), boost::test_tools::per_element());
  BOOST_TEST(model.weight.requires_grad());
  BOOST_CHECK_THROW(stopping.restore(other), embergrad::Error);
  stopping.load_state(stopping.state());
  BOOST_CHECK_THROW(stopping.restore(model), ValueError);
}

BOOST_AUTO_TEST_SUITE_END()
