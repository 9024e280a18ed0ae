#include <embergrad/optim/checkpoint.hpp>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/embergrad.hpp>

#include "nn/says.hpp"
#include "optim/optim_support.hpp"
#include "support/checkpoint.hpp"
#include "support/compare.hpp"
#include "support/temporary_directory.hpp"

namespace eg = embergrad;
namespace nn = eg::nn;
namespace optim = eg::optim;
using eg::StateDict;
using eg::Tensor;
using eg::test::equal_to;
using eg::test::leaf;
using eg::test::read_bytes;
using eg::test::says;
using eg::test::TemporaryDirectory;
using eg::test::write_bytes;

namespace {

constexpr int last_step = 24;

// The table serves at both ends, under two names.
struct Network : nn::Module {
  nn::Embedding table{12, 6};
  nn::Linear hidden{6, 6};
  nn::Dropout dropout{0.4};
  nn::Linear out{6, 12, false};
  Network() { out.weight = table.weight; }
  void members(nn::Visitor& visit) override {
    visit("table", table);
    visit("hidden", hidden);
    visit("dropout", dropout);
    visit("out", out);
  }
  Tensor forward(const Tensor& ids) { return out(dropout(eg::tanh(hidden(table(ids))))); }
};

// A program with dropout, two optimizers (one of two groups), nested schedulers and two generators.
struct Program {
  Network network;
  optim::Adam adam{{{.params = {network.hidden.weight}}, {.params = {network.hidden.bias}, .options = {.lr = 1e-2}}}};
  optim::SGD sgd{{network.table.weight}, {.lr = 0.2, .momentum = 0.9}};
  optim::OneCycleLR cycle{adam, {.max_lr = {0.05, 0.1}, .total_steps = last_step}};
  optim::LinearLR warmup{sgd, {.start_factor = 0.2, .total_iters = 6}};
  optim::CosineAnnealingLR cosine{sgd, {.T_max = 10}};
  optim::SequentialLR sequence{sgd, {&warmup, &cosine}, {6}};
  eg::Generator noise{5};
  int steps = 0;

  [[nodiscard]] optim::CheckpointParts parts() {
    return {.model = network.state_dict(),
            .optimizers = {{"adam", &adam}, {"sgd", &sgd}},
            .schedulers = {{"cycle", &cycle}, {"sequence", &sequence}},
            .generators = {{"noise", &noise}}};
  }
  void step() {
    std::vector<std::int64_t> ids;
    for (const double share : eg::rand({8}, {}, noise).to_vector<double>()) {
      ids.push_back(static_cast<std::int64_t>(share * 12));
    }
    const Tensor words = eg::tensor(ids);
    const Tensor loss = eg::cross_entropy(network.forward(words), words);
    adam.zero_grad();
    sgd.zero_grad();
    loss.backward();
    adam.step();
    sgd.step();
    cycle.step();
    sequence.step();
    ++steps;
  }
  void save(const std::string& path) { optim::save_checkpoint(path, parts(), {{"steps", std::to_string(steps)}}, {}); }
  void load(const std::string& path) {
    steps = std::stoi(optim::load_checkpoint(path, parts()).metadata().at("steps"));
  }
};

// The bytes of a program's whole state.
std::string state_of(Program& program) {
  const TemporaryDirectory directory;
  program.save(directory / "state");
  return read_bytes(directory / "state");
}

template <class Expected>
void refused(const std::function<void()>& call, const std::vector<std::string>& parts) {
  BOOST_CHECK_EXCEPTION(call(), Expected, says(parts));
}

// A small program whose parts can be changed one by one.
struct Small {
  StateDict model;
  Tensor w = leaf(eg::ones({3}));
  Tensor b = leaf(eg::ones({2}));
  optim::Adam optimizer{{w, b}};
  optim::StepLR scheduler{optimizer, {.step_size = 2}};
  eg::Generator generator{3};
  Small() {
    model.set("w", w);
    model.set("b", b);
  }
  [[nodiscard]] optim::CheckpointParts parts() {
    return {.model = model,
            .optimizers = {{"o", &optimizer}},
            .schedulers = {{"s", &scheduler}},
            .generators = {{"g", &generator}}};
  }
  void step() {
    w.set_grad(eg::ones({3}));
    b.set_grad(eg::ones({2}));
    optimizer.step();
    scheduler.step();
    static_cast<void>(generator.next());
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint)

BOOST_AUTO_TEST_CASE(stopped_anywhere_and_resumed_gives_the_bits_of_a_run_that_went_on) {
  constexpr int seed = 20;
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const TemporaryDirectory directory;
  eg::manual_seed(1);
  Program straight;
  std::vector<std::string> states{state_of(straight)};
  while (straight.steps < last_step) {
    straight.step();
    states.push_back(state_of(straight));
  }
  BOOST_TEST((states.front() != states.back()));
  for (int run = 0; run < 20; ++run) {
    const int stop = static_cast<int>(random() % last_step);
    BOOST_TEST_CONTEXT("stopped after " << stop) {
      eg::manual_seed(1);
      {
        Program stopped;
        while (stopped.steps < stop) stopped.step();
        stopped.save(directory / "state");
      }
      eg::manual_seed(random());
      Program resumed;
      for (std::uint32_t more = random() % 4; more > 0; --more) resumed.step();
      resumed.load(directory / "state");
      BOOST_TEST(resumed.steps == stop);
      BOOST_TEST((state_of(resumed) == states[static_cast<std::size_t>(stop)]));
      while (resumed.steps < last_step) resumed.step();
      BOOST_TEST((state_of(resumed) == states.back()));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_stands_in_the_file) {
  const TemporaryDirectory directory;
  Small small;
  small.step();
  StateDict own;
  own.set("best.w", eg::full({2}, 5));
  optim::save_checkpoint(directory / "c", small.parts(), {{"epoch", "3"}}, own);
  const eg::Loaded file = eg::load(directory / "c");
  BOOST_TEST(file.metadata.at("embergrad.format") == "embergrad-checkpoint");
  BOOST_TEST(file.metadata.at("embergrad.version") == "2");
  for (const char* key :
       {"model.w", "model.b", "optimizer.o.optimizer.Adam", "optimizer.o.param_groups.0.lr",
        "optimizer.o.param_groups.0.initial_lr", "optimizer.o.state.w.exp_avg", "optimizer.o.state.b.exp_avg_sq",
        "optimizer.o.state.b.step", "optimizer.o.state.b.group", "scheduler.s.scheduler.StepLR",
        "scheduler.s.last_epoch", "generator.g", "generator.default", "own.best.w"}) {
    BOOST_TEST(file.tensors.contains(key), key);
  }
  const optim::Checkpoint checkpoint(directory / "c");
  BOOST_TEST(checkpoint.metadata().size() == 1U);
  BOOST_TEST(checkpoint.metadata().at("epoch") == "3");
  BOOST_TEST(checkpoint.own().size() == 1U);
  BOOST_TEST(checkpoint.own().at("best.w").at({1}) == 5);
}

// By name, so it does not matter how a program orders its parameters.
BOOST_AUTO_TEST_CASE(parameters_are_known_by_name) {
  Small small;
  small.step();
  small.w.set_grad(eg::full({3}, 2));
  small.optimizer.step();
  const StateDict state = small.optimizer.state_dict(small.model);
  Tensor w = leaf(eg::ones({3}));
  Tensor b = leaf(eg::ones({2}));
  optim::Adam turned({b, w});
  const std::vector<StateDict::Entry> names{{"w", w}, {"b", b.detach()}, {"more", eg::ones({1})}};
  turned.load_state_dict(state, names);
  BOOST_TEST(equal_to("w", turned.state(1, "exp_avg"), small.optimizer.state(0, "exp_avg")));
  BOOST_TEST(equal_to("b", turned.state(0, "exp_avg"), small.optimizer.state(1, "exp_avg")));
  BOOST_TEST(turned.initial_lr().value() == 1e-3);

  refused<eg::ValueError>([&] { turned.load_state_dict(state); }, {"param_groups.0.params is missing"});
  refused<eg::ValueError>([&] { static_cast<void>(turned.state_dict(small.model)); },
                          {"Adam", "parameter 0, of shape [2], has no name"});
  Tensor twin = leaf(b.detach());
  refused<eg::ValueError>(
      [&] {
        static_cast<void>(optim::SGD({b, twin}).state_dict(std::vector<StateDict::Entry>{{"b", b.detach()}}));
      },
      {"parameters 0 and 1 are both named b"});
  optim::Adam grouped({{.params = {w}}, {.params = {b}}});
  refused<eg::ValueError>([&] { grouped.load_state_dict(state, names); },
                          {"state.b.group must be 1", "param_groups.1.lr"});
}

// More steps than float32 can count.
BOOST_AUTO_TEST_CASE(steps_are_exact) {
  Tensor w = leaf(eg::ones({1}));
  optim::Adam optimizer({w});
  w.set_grad(eg::ones({1}));
  optimizer.step();
  StateDict state;
  for (const auto& [key, value] : optimizer.state_dict()) state.set(key, value);
  const std::int64_t many = (std::int64_t{1} << 24) + 1;
  state.set("state.0.step", eg::tensor(many));
  optimizer.load_state_dict(state);
  BOOST_TEST(optimizer.state_dict().at("state.0.step").item<std::int64_t>() == many);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused_and_nothing_changes) {
  const TemporaryDirectory directory;
  Small from;
  for (int i = 0; i < 3; ++i) from.step();
  const std::string path = directory / "c";
  const auto saved = [&](const optim::CheckpointParts& parts) {
    optim::save_checkpoint(path, parts);
    return path;
  };
  Small to;
  to.step();
  eg::manual_seed(0);
  optim::save_checkpoint(directory / "before", to.parts());
  const std::string before = read_bytes(directory / "before");
  const auto check_refused = [&]<class Expected>(Expected*, const optim::CheckpointParts& parts,
                                                 const std::vector<std::string>& words) {
    saved(parts);
    eg::default_generator().set_state(1, 2);
    std::vector<std::string> all = words;
    all.push_back(path + ": ");
    refused<Expected>([&] { optim::load_checkpoint(path, to.parts()); }, all);
    BOOST_TEST(eg::default_generator().tick() == 2U);
    eg::manual_seed(0);
    optim::save_checkpoint(directory / "after", to.parts());
    BOOST_TEST((read_bytes(directory / "after") == before));
  };
  constexpr eg::ValueError* value_error = nullptr;

  optim::CheckpointParts parts = from.parts();
  parts.optimizers.clear();
  parts.schedulers = {{"t", &from.scheduler}};
  parts.generators.clear();
  check_refused(value_error, parts, {"no optimizer o", "no scheduler s", "it has a scheduler t", "no generator g"});
  parts = from.parts();
  parts.model.set("x", eg::ones({1}));
  check_refused(value_error, parts, {"model", "unexpected: x"});
  {
    StateDict model;
    model.set("w", from.w);
    model.set("c", from.b);
    parts = from.parts();
    parts.model = model;
    check_refused(value_error, parts, {"optimizer o", "state.b.group is missing", "unexpected", "state.c.step"});
    parts.optimizers.clear();
    Small bare;
    optim::save_checkpoint(path, parts);
    refused<eg::ValueError>(
        [&] {
          optim::load_checkpoint(
              path,
              {.model = bare.model, .schedulers = {{"s", &bare.scheduler}}, .generators = {{"g", &bare.generator}}});
        },
        {"missing: b", "unexpected: c"});
  }
  {
    // The model alone has another shape: an optimizer never stepped has no state to tell.
    Small wide;
    Tensor w = leaf(eg::ones({4}));
    optim::Adam optimizer({w, wide.b});
    optim::StepLR scheduler(optimizer, {.step_size = 2});
    parts = wide.parts();
    parts.model.set("w", w);
    parts.optimizers = {{"o", &optimizer}};
    parts.schedulers = {{"s", &scheduler}};
    check_refused(static_cast<eg::ShapeError*>(nullptr), parts, {"model", "w (expected [3], got [4])"});
    w.set_grad(eg::ones({4}));
    optimizer.step();
    check_refused(value_error, parts, {"optimizer o", "state.w.exp_avg must have shape [3], but has [4]"});
  }
  {
    optim::AdamW optimizer({from.w, from.b});
    parts = from.parts();
    parts.optimizers = {{"o", &optimizer}};
    check_refused(value_error, parts, {"optimizer o", "of AdamW, not of Adam"});
    optim::ExponentialLR scheduler(from.optimizer, {.gamma = 1});
    parts = from.parts();
    parts.schedulers = {{"s", &scheduler}};
    check_refused(value_error, parts, {"scheduler s", "of ExponentialLR, not of StepLR"});
  }
  // And what fits is taken.
  optim::load_checkpoint(saved(from.parts()), to.parts());
  optim::save_checkpoint(directory / "after", to.parts());
  BOOST_TEST((read_bytes(directory / "after") == read_bytes(path)));
}

BOOST_AUTO_TEST_CASE(files_that_are_no_checkpoints) {
  const TemporaryDirectory directory;
  const std::string path = directory / "c";
  Small small;
  optim::save_checkpoint(path, small.parts());
  const std::string whole = read_bytes(path);
  const eg::Loaded file = eg::test::without_checksum(eg::load(path));
  const auto is_refused = [&](const std::vector<std::string>& parts) {
    refused<eg::FormatError>([&] { const optim::Checkpoint checkpoint(path); }, parts);
  };
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 50) {
    write_bytes(path, whole.substr(0, size));
    is_refused({path});
  }
  write_bytes(path, whole.substr(0, whole.size() - 1));
  is_refused({path});
  eg::save(path, small.model);
  is_refused({path, "not a checkpoint", "no embergrad.format"});
  eg::save(path, small.model, {{"embergrad.format", "embergrad-tagger"}, {"embergrad.version", "1"}});
  is_refused({path, "not a checkpoint", "embergrad-tagger"});
  eg::save(path, file.tensors, {{"embergrad.format", "embergrad-checkpoint"}, {"embergrad.version", "3"}});
  is_refused({path, "version 3", "reads versions 1 and 2"});
  StateDict more = file.tensors;
  more.set("strange", eg::ones({1}));
  eg::save(path, more, file.metadata);
  is_refused({path, "no tensor strange"});
  StateDict half = file.tensors;
  half.set("generator.g", eg::tensor({1}));
  eg::save(path, half, file.metadata);
  is_refused({path, "generator g", "two int64"});
  refused<eg::IoError>([&] { const optim::Checkpoint checkpoint(directory / "missing"); }, {"missing"});
}

BOOST_AUTO_TEST_CASE(a_bit_that_flipped_is_found) {
  const TemporaryDirectory directory;
  const std::string path = directory / "c";
  Small small;
  small.step();
  optim::save_checkpoint(path, small.parts(), {{"epoch", "3"}}, small.model);
  const std::string whole = read_bytes(path);
  const std::size_t data = whole.find(R"({"__metadata__")") + static_cast<unsigned char>(whole[0]) +
                           256U * static_cast<unsigned char>(whole[1]);
  for (std::size_t bit = 8 * data; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    write_bytes(path, flipped);
    BOOST_TEST_CONTEXT("bit " << bit) {
      refused<eg::FormatError>([&] { const optim::Checkpoint checkpoint(path); }, {path, "the contents are damaged"});
    }
  }
  // In the header too: notes, names, and the checksum itself.
  const std::string digit = whole.substr(whole.find("crc32\":\"") + 8, 1);
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"\"3\"", "\"2\""},
      {"own.w", "own.v"},
      {"crc32\":\"" + digit, "crc32\":\"" + std::string(digit == "0" ? "1" : "0")},
      {"embergrad.crc32", "embergrad.crc3!"}};
  for (const auto& [from, to] : changes) {
    std::string changed = whole;
    BOOST_TEST_REQUIRE(changed.find(from) != std::string::npos, from);
    changed.replace(changed.find(from), from.size(), to);
    write_bytes(path, changed);
    refused<eg::FormatError>([&] { const optim::Checkpoint checkpoint(path); }, {path, "the contents are damaged"});
  }
  write_bytes(path, whole);
  optim::load_checkpoint(path, small.parts());
}

// As zlib.crc32 computes it, of what docs/file-formats.md says.
BOOST_AUTO_TEST_CASE(the_checksum_is_the_documented_one) {
  const auto crc32 = [](const std::string& bytes) {
    std::uint32_t rest = 0xFFFFFFFFU;
    for (const char byte : bytes) {
      rest ^= static_cast<unsigned char>(byte);
      for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1U) ^ ((rest & 1U) != 0 ? 0xEDB88320U : 0U);
    }
    return ~rest;
  };
  BOOST_TEST(crc32("123456789") == 0xCBF43926U);
  const TemporaryDirectory directory;
  StateDict model;
  model.set("b", eg::tensor({1.5F, -2.0F}));
  model.set("tied", model.at("b"));
  model.set("a", eg::zeros({2, 0}));
  const std::string path = directory / "c";
  eg::default_generator().set_state(7, 9);
  optim::save_checkpoint(path, {.model = model}, {{"note", "x"}});
  const auto text = [](const std::string& part) { return part + '\0'; };
  const auto bytes = [](auto... values) {
    std::string all;
    (all.append(reinterpret_cast<const char*>(&values), sizeof values), ...);
    return all;
  };
  const std::string b = text("float32") + text("[2]") + bytes(1.5F, -2.0F);
  const std::string covered = text("embergrad.format") + text("embergrad-checkpoint") + text("embergrad.version") +
                              text("2") + text("note") + text("x") + text("generator.default") + text("int64") +
                              text("[2]") + bytes(std::int64_t{7}, std::int64_t{9}) + text("model.a") +
                              text("float32") + text("[2, 0]") + text("model.b") + b + text("model.tied") + b;
  std::ostringstream expected;
  expected << std::hex << std::setw(8) << std::setfill('0') << crc32(covered);
  BOOST_TEST(eg::load(path).metadata.at("embergrad.crc32") == expected.str());
}

// Written before there was a checksum.
BOOST_AUTO_TEST_CASE(version_1_is_read_without_a_checksum) {
  const TemporaryDirectory directory;
  const std::string path = directory / "c";
  Small small;
  small.step();
  optim::save_checkpoint(path, small.parts());
  const eg::Loaded old = eg::test::without_checksum(eg::load(path));
  eg::save(path, old.tensors, old.metadata);
  Small other;
  optim::load_checkpoint(path, other.parts());
  BOOST_TEST(equal_to("w", other.w, small.w));
}

BOOST_AUTO_TEST_CASE(parts_are_checked) {
  const TemporaryDirectory directory;
  const std::string path = directory / "c";
  Small small;
  const auto is_refused = [&](const std::function<void(optim::CheckpointParts&)>& change,
                              const std::vector<std::string>& words) {
    optim::CheckpointParts parts = small.parts();
    change(parts);
    refused<eg::ValueError>([&] { optim::save_checkpoint(path, parts); }, words);
  };
  is_refused([&](auto& p) { p.optimizers["a.b"] = &small.optimizer; }, {"name of optimizers", "a.b"});
  is_refused([&](auto& p) { p.schedulers[""] = &small.scheduler; }, {"scheduler", "empty"});
  is_refused([&](auto& p) { p.generators["g"] = nullptr; }, {"generator g is null"});
  is_refused([&](auto& p) { p.generators["default"] = &small.generator; }, {"\"default\""});
  is_refused([&](auto& p) { p.model = {}; }, {"parameter 0, of shape [3], has no name"});
  refused<eg::ValueError>(
      [&] {
        optim::save_checkpoint(path, small.parts(), {{"embergrad.x", "1"}});
      },
      {"embergrad.x"});
  BOOST_TEST(!std::filesystem::exists(path));
  // The default generator by its own name is itself.
  optim::CheckpointParts parts = small.parts();
  parts.generators["default"] = &eg::default_generator();
  optim::save_checkpoint(path, parts);
  optim::load_checkpoint(path, small.parts());
}

BOOST_AUTO_TEST_SUITE_END()
