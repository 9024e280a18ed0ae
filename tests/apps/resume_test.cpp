// Stops embergrad-tagger in every way there is, goes on with --resume, and compares with a run that was not stopped.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <embergrad/optim/checkpoint.hpp>
#include <embergrad/safetensors.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/checkpoint.hpp"
#include "support/temporary_directory.hpp"
#include "tagger_support.hpp"

namespace {

namespace fs = std::filesystem;
using embergrad::test::is_one_line;
using embergrad::test::lines_of;
using embergrad::test::Place;
using embergrad::test::read_bytes;
using embergrad::test::Result;
using embergrad::test::Running;
using embergrad::test::sample;
using embergrad::test::write_bytes;

// The first sentences of the sample.
std::string part_of_sample(int sentences) {
  std::string text;
  for (const std::string& line : lines_of(read_bytes(sample + "train.conllu"))) {
    text += line + "\n";
    if (line.empty() && --sentences == 0) break;
  }
  return text;
}

// A directory with a small corpus, of which 36 sentences are trained on.
struct Small : Place {
  Small() { write_bytes(*this / "t", part_of_sample(40)); }
};
constexpr int batches_in_an_epoch = 9;
constexpr int epochs = 3;
const std::string tiny = " --train t --embedding-dim 6 --hidden 5 --batch 4 --threads 1 --model m ";

// What a run leaves.
struct Files {
  std::string model, resume;
  explicit Files(const Place& place) : model(read_bytes(place / "m")), resume(read_bytes(place / "m.resume")) {}
  bool operator==(const Files&) const = default;
};

const std::vector<std::string>& ways_to_train() {
  static const std::vector<std::string> all{
      "--lr 0.02 --clip 1 --dropout 0.3", "--lr 0.02 --dropout 0.5 --layers 2 --optimizer adamw --schedule onecycle",
      "--optimizer sgd --momentum 0.9 --schedule linear --dropout 0.1", "--lr 0.05 --schedule cosine --patience 1"};
  return all;
}

// What the program says of each epoch, without words and times, which count from where a run goes on.
std::map<std::string, std::string> said_of_epochs(const std::string& out) {
  std::map<std::string, std::string> said;
  for (const std::string& line : lines_of(out)) {
    const auto loss = line.find("loss ");
    if (line.starts_with("epoch ") && loss != std::string::npos) said[line.substr(0, 9)] = line.substr(loss);
  }
  return said;
}

// The lines of a log without the seconds, which no two runs share.
std::vector<std::string> log_of(const Place& place) {
  std::vector<std::string> lines = lines_of(read_bytes(place / "log"));
  for (std::string& line : lines) {
    const auto seconds = line.find(",\"seconds\":");
    BOOST_TEST_REQUIRE(seconds != std::string::npos, line);
    BOOST_TEST((line.front() == '{' && line.back() == '}'), line);
    line.resize(seconds);
  }
  return lines;
}

std::vector<std::string> names_in(const Place& place) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(place.path())) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::string with_epochs(int count) { return " --epochs " + std::to_string(count) + " "; }

}  // namespace

BOOST_AUTO_TEST_SUITE(resume)

BOOST_AUTO_TEST_CASE(stopped_anywhere_and_resumed_gives_the_bits_of_a_run_that_went_on) {
  constexpr int seed = 4;
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  for (const std::string& way : ways_to_train()) {
    const std::string command = "train" + tiny + way + with_epochs(epochs);
    const Small straight;
    const Result whole = straight.good(command);
    for (int run = 0; run < 5; ++run) {
      const Small stopped;
      // Twice, the second time maybe at once.
      const int first = 1 + static_cast<int>(random() % (epochs * batches_in_an_epoch));
      const int second = first + static_cast<int>(random() % batches_in_an_epoch);
      BOOST_TEST_CONTEXT(way << " stopped after " << first << " and " << second) {
        (void)stopped.good(command + "--stop-after " + std::to_string(first));
        (void)stopped.good(command + "--resume --save-every 2 --stop-after " + std::to_string(second));
        const Result last = stopped.good(command + "--resume");
        BOOST_TEST((Files(stopped) == Files(straight)));
        const auto ending = [](const Result& result) { return result.out.substr(result.out.find("\nbest epoch ")); };
        BOOST_TEST(ending(last) == ending(whole));
        const auto said = said_of_epochs(whole.out);
        for (const auto& [epoch, text] : said_of_epochs(last.out)) BOOST_TEST(text == said.at(epoch));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_save_is_whole_after_kill_9_at_any_moment) {
  constexpr int seed = 9;
  BOOST_TEST_MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  const std::vector<std::string> arguments{
      "train", "--train",   "t",   "--embedding-dim", "6",      "--hidden", "5", "--batch",      "4", "--model",
      "m",     "--dropout", "0.3", "--schedule",      "cosine", "--epochs", "2", "--save-every", "1", "--quiet"};
  std::string command;
  for (const std::string& argument : arguments) command += argument + " ";
  const Small straight;
  const auto started = std::chrono::steady_clock::now();
  (void)straight.good(command);
  std::chrono::duration<double> whole = std::chrono::steady_clock::now() - started;
  int cut_short = 0;
  for (int run = 0; run < 20; ++run) {
    const Small place;
    {
      Running running(place, arguments);
      running.wait_until([&] { return fs::exists(place / "m.resume"); });
      std::this_thread::sleep_for(whole * (static_cast<double>(random() % 1000) / 1000));
      const bool killed = running.stop(SIGKILL).status == 1000 + SIGKILL;
      cut_short += killed ? 1 : 0;
      if (!killed) whole *= 0.7;  // it was over: the first run may have had a busier machine
    }
    BOOST_CHECK_NO_THROW(embergrad::optim::Checkpoint(place / "m.resume"));
    if (fs::exists(place / "m")) BOOST_CHECK_NO_THROW((void)embergrad::load(place / "m"));
    (void)place.good(command + "--resume");
    BOOST_TEST((Files(place) == Files(straight)));
    const std::vector<std::string> left = {"m", "m.resume", "t"};
    BOOST_TEST(names_in(place) == left, boost::test_tools::per_element());
  }
  BOOST_TEST_MESSAGE(cut_short << " of 20 runs were cut short");
  BOOST_TEST(cut_short > 5);
}

BOOST_AUTO_TEST_CASE(ctrl_c_saves) {
  const std::vector<std::string> arguments{"train", "--train", "t", "--embedding-dim", "6", "--hidden", "5", "--batch",
                                           "4",     "--model", "m", "--epochs",        "60"};
  std::string command;
  for (const std::string& argument : arguments) command += argument + " ";
  const Small straight;
  (void)straight.good(command);
  for (const int signal : {SIGINT, SIGTERM}) {
    const Small place;
    Running running(place, arguments);
    running.wait_until([&] { return fs::exists(place / "m.resume"); });
    const Result stopped = running.stop(signal);
    BOOST_TEST(stopped.status == 128 + signal);
    BOOST_TEST(is_one_line(stopped.err));
    BOOST_TEST(stopped.err.find("--resume goes on") != std::string::npos);
    (void)place.good(command + "--resume");
    BOOST_TEST((Files(place) == Files(straight)));
  }
}

BOOST_AUTO_TEST_CASE(what_may_change_when_a_run_goes_on) {
  const Small straight;
  (void)straight.good("train" + tiny + with_epochs(4));
  // More epochs, after the end of the first ones or in their midst.
  for (const std::string stop : {"", "--stop-after 12", "--stop-after 9", "--stop-after 18"}) {
    const Small place;
    (void)place.good("train" + tiny + with_epochs(2) + stop);
    (void)place.good("train" + tiny + with_epochs(4) + "--resume --quiet --save-every 3 --patience 9 --test '" +
                     sample + "dev.conllu'");
    BOOST_TEST((Files(place) == Files(straight)), stop);
  }
  const Small place;
  (void)place.good("train" + tiny + with_epochs(4) + "--stop-after 20");
  std::string threads = tiny;
  threads.replace(threads.find("--threads 1"), 11, "--threads 2");
  (void)place.good("train" + threads + with_epochs(4) + "--resume");
  BOOST_TEST((Files(place) == Files(straight)));
  // A run that is complete stays so.
  const Result again = place.good("train" + tiny + with_epochs(4) + "--resume");
  BOOST_TEST(again.out.find("best epoch ") != std::string::npos);
  BOOST_TEST((Files(place) == Files(straight)));
  const Result fewer = place.run("train" + tiny + with_epochs(3) + "--resume");
  BOOST_TEST(fewer.status == 1);
  BOOST_TEST(fewer.err.find("--epochs: 3 are fewer") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(patience_counts_on) {
  const std::string command = "train" + tiny + "--lr 1e-12 --patience 2" + with_epochs(50);
  const Small straight;
  (void)straight.good(command);
  for (const int stop : {5, 9, 14, 18, 25}) {
    const Small place;
    (void)place.good(command + "--stop-after " + std::to_string(stop));
    const Result resumed = place.good(command + "--resume");
    BOOST_TEST(resumed.out.find("stopped after 2 epochs without a better dev accuracy") != std::string::npos);
    BOOST_TEST((Files(place) == Files(straight)), stop);
  }
}

// The resume file is complete in itself.
BOOST_AUTO_TEST_CASE(the_model_file_is_not_needed_to_go_on) {
  const std::string command = "train" + tiny + "--lr 0.02" + with_epochs(3);
  const Small straight;
  (void)straight.good(command);
  const Small place;
  (void)place.good(command + "--stop-after 25");
  fs::remove(place / "m");
  (void)place.good(command + "--resume --stop-after 25");
  BOOST_TEST(fs::exists(place / "m"));
  write_bytes(place / "m", "something else");
  (void)place.good(command + "--resume");
  BOOST_TEST((Files(place) == Files(straight)));
}

BOOST_AUTO_TEST_CASE(nothing_precious_is_written_over) {
  const Small place;
  const std::string command = "train" + tiny + with_epochs(2);
  (void)place.good(command + "--stop-after 3");
  fs::remove(place / "m");
  const std::string before = read_bytes(place / "m.resume");
  const Result refused = place.run(command);
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(is_one_line(refused.err));
  BOOST_TEST(refused.err.find("m.resume: exists already; --resume goes on with it, --force replaces it") !=
             std::string::npos);
  BOOST_TEST((read_bytes(place / "m.resume") == before));
  (void)place.good(command + "--force");
  BOOST_TEST((read_bytes(place / "m.resume") != before));
  // The model file is no resume file, and the other way round.
  fs::copy_file(place / "m.resume", place / "n");
  const Result eval = place.run("eval --model n t");
  BOOST_TEST(eval.status == 1);
  BOOST_TEST(eval.err.find("n: not a model of this program: its format is") != std::string::npos);
  const auto model = embergrad::load(place / "m");
  for (const auto& [name, tensor] : model.tensors) BOOST_TEST(name.find("exp_avg") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(another_run_is_refused_by_name) {
  const Small place;
  const std::string command = "train --train t --model m --threads 1";
  const std::string sizes = " --embedding-dim 6 --hidden 5 --batch 4";
  (void)place.good(command + sizes + " --epochs 2 --stop-after 12");
  const Files before(place);
  write_bytes(place / "more", part_of_sample(41));
  std::string changed = read_bytes(place / "t");
  const auto tag = changed.find("\tDET\t");
  BOOST_TEST_REQUIRE(tag != std::string::npos);
  changed.replace(tag, 5, "\tADJ\t");
  write_bytes(place / "changed", changed);
  const std::map<std::string, std::vector<std::string>> others = {
      {command + " --hidden 5 --batch 4 --embedding-dim 7", {"--embedding-dim was 6 and is 7"}},
      {command + " --embedding-dim 6 --batch 4 --hidden 6", {"--hidden was 5 and is 6"}},
      {command + " --embedding-dim 6 --hidden 5", {"--batch was 4 and is 32"}},
      {command + sizes + " --layers 2 --dropout 0.5", {"--layers was 1 and is 2", "--dropout was 0.0 and is 0.5"}},
      {command + sizes + " --unidirectional", {"--unidirectional was false and is true"}},
      {command + sizes + " --init pytorch", {"--init was \"default\" and is \"pytorch\""}},
      {command + sizes + " --min-count 1", {"--min-count was 2 and is 1"}},
      {command + sizes + " --optimizer adamw", {"--optimizer was \"Adam\" and is \"AdamW\"", "--weight-decay"}},
      {command + sizes + " --lr 0.5", {"--lr was 0.001 and is 0.5"}},
      {command + sizes + " --weight-decay 0.5", {"--weight-decay"}},
      {command + sizes + " --clip 2", {"--clip"}},
      {command + sizes + " --seed 2", {"--seed was 1 and is 2", "training sentences are others"}},
      {command + sizes + " --schedule linear", {"--schedule was \"constant\" and is \"linear\"\n"}},
      {command + sizes + " --dev-fraction 0.2",
       {"--dev-fraction was 0.1 and is 0.2", "training sentences are others: 36 sentences", "dev sentences"}},
      {command + sizes + " --dev t",
       {"--dev-fraction was 0.1 and is unset", "training sentences are others", "40 sentences"}},
      {"train --train changed --model m --threads 1" + sizes, {"sentences are others"}},
      {"train --train more --model m --threads 1" + sizes, {"37 sentences"}},
  };
  for (const auto& [line, names] : others) {
    const Result refused = place.run(line + " --resume");
    BOOST_TEST_CONTEXT(line << ": " << refused.err) {
      BOOST_TEST(refused.status == 1);
      BOOST_TEST(is_one_line(refused.err));
      BOOST_TEST(refused.out == "");
      BOOST_TEST(refused.err.find("--resume: m.resume was written by another run: ") != std::string::npos);
      for (const std::string& name : names) BOOST_TEST(refused.err.find(name) != std::string::npos, name);
      BOOST_TEST((Files(place) == before));
    }
  }
}

BOOST_AUTO_TEST_CASE(files_that_are_no_resume_files) {
  const Small place;
  const std::string command = "train" + tiny + with_epochs(2);
  (void)place.good(command + "--stop-after 12");
  const std::string whole = read_bytes(place / "m.resume");
  const std::string model = read_bytes(place / "m");
  const embergrad::Loaded file = embergrad::test::without_checksum(embergrad::load(place / "m.resume"));
  const auto refused = [&](const std::string& what, const std::string& reason) {
    const Result got = place.run(command + "--resume");
    BOOST_TEST_CONTEXT(what << ": " << got.err) {
      BOOST_TEST(got.status == 1);
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(got.out == "");
      BOOST_TEST(got.err.find("m.resume") != std::string::npos);
      BOOST_TEST(got.err.find(reason) != std::string::npos);
      BOOST_TEST((read_bytes(place / "m") == model));
    }
  };
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    write_bytes(place / "m.resume", whole.substr(0, size));
    refused("cut off", "");
  }
  std::string flipped = whole;
  flipped[whole.size() - 1000] = static_cast<char>(flipped[whole.size() - 1000] ^ 4);
  write_bytes(place / "m.resume", flipped);
  refused("a bit that flipped", "the contents are damaged");
  fs::remove(place / "m.resume");
  refused("none", "no run on m was started");
  fs::create_directory(place / "m.resume");
  refused("a folder", "m.resume is a folder");
  fs::remove(place / "m.resume");
  write_bytes(place / "m.resume", model);
  refused("a model", "not a checkpoint: its format is embergrad-tagger");

  using Change = std::function<void(embergrad::Loaded&)>;
  const auto with = [&](const std::string& what, const Change& change, const std::string& reason) {
    embergrad::Loaded changed = file;
    change(changed);
    embergrad::save(place / "m.resume", changed.tensors, changed.metadata);
    refused(what, reason);
  };
  with(
      "a later version", [](auto& f) { f.metadata["embergrad.version"] = "3"; }, "version 3");
  with(
      "another program's", [](auto& f) { f.metadata["program"] = "other"; }, "it is of other");
  for (const std::string key : {"program", "options", "data", "position"}) {
    with(
        "without", [&](auto& f) { f.metadata.erase(key); }, "no " + key);
  }
  for (const std::string key : {"options", "data", "position"}) {
    with(
        "no JSON", [&](auto& f) { f.metadata[key] = "{"; }, "its " + key);
    with(
        "a list", [&](auto& f) { f.metadata[key] = "[1]"; }, "its " + key);
  }
  with(
      "deep",
      [](auto& f) { f.metadata["options"] = "{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}"; },
      "its options");
  const auto set_position = [](const std::string& from, const std::string& to) {
    return [=](embergrad::Loaded& f) {
      std::string& position = f.metadata["position"];
      const auto at = position.find(from);
      BOOST_TEST_REQUIRE(at != std::string::npos, from << " is not in " << position);
      position.replace(at, from.size(), to);
    };
  };
  for (const std::string to : {"\"batches\":10", "\"batches\":-1", "\"batches\":1.5", "\"batches\":\"3\"",
                               "\"batches\":99999999999999999999", "\"b\":3"}) {
    with(to, set_position("\"batches\":3", to), "its position has batches");
  }
  with("epoch 0", set_position("\"epoch\":2", "\"epoch\":0"), "its position has epoch");
  with("best later", set_position("\"best_epoch\":1", "\"best_epoch\":2"), "its position has best_epoch");
  const auto without = [](const std::string& name) {
    return [=](embergrad::Loaded& f) {
      embergrad::StateDict rest;
      for (const auto& [key, value] : f.tensors) {
        if (key != name) rest.set(key, value);
      }
      BOOST_TEST_REQUIRE(rest.size() + 1 == f.tensors.size(), name);
      f.tensors = rest;
    };
  };
  with("no best", without("own.hidden2tag.bias"), "hidden2tag.bias");
  with("no weight", without("model.hidden2tag.bias"), "missing: hidden2tag.bias");
  with("no moment", without("optimizer.optimizer.state.hidden2tag.bias.exp_avg"), "state.hidden2tag.bias");
  with("no generator", without("generator.default"), "no generator default");
  with(
      "more", [](auto& f) { f.tensors.set("model.more", embergrad::ones({1})); }, "unexpected: more");
}

BOOST_AUTO_TEST_CASE(a_log_has_a_line_an_epoch) {
  const std::string command = "train" + tiny + "--lr 0.02 --schedule linear --log log" + with_epochs(epochs);
  const Small straight;
  (void)straight.good(command);
  const std::vector<std::string> lines = log_of(straight);
  BOOST_TEST_REQUIRE(lines.size() == static_cast<std::size_t>(epochs));
  BOOST_TEST(lines[1].starts_with(R"({"epoch":2,"step":18,"loss":)"), lines[1]);
  BOOST_TEST(lines[1].find(R"(,"accuracy":0.)") != std::string::npos, lines[1]);
  BOOST_TEST(lines[1].find(R"(,"lr":0.00)") != std::string::npos, lines[1]);

  const Small stopped;
  (void)stopped.good(command + "--stop-after 13");
  BOOST_TEST(log_of(stopped).size() == 1U);
  (void)stopped.good(command + "--resume");
  BOOST_TEST(log_of(stopped) == lines, boost::test_tools::per_element());

  const Small there;
  write_bytes(there / "log", "precious");
  const Result refused = there.run(command);
  BOOST_TEST(refused.status != 0);
  BOOST_TEST(is_one_line(refused.err), refused.err);
  BOOST_TEST(read_bytes(there / "log") == "precious");
  BOOST_TEST(!fs::exists(there / "m"));
  (void)there.good(command + "--force");
  BOOST_TEST(log_of(there) == lines, boost::test_tools::per_element());
  (void)there.good("train" + tiny + "--lr 0.02 --dev-fraction 0 --epochs 1 --quiet --force --log log");
  BOOST_TEST(log_of(there).at(0).find(R"(,"accuracy":null,"lr":0.02)") != std::string::npos);
}

// The line of an epoch is written before the resume file is, which a kill or a full disk may prevent.
BOOST_AUTO_TEST_CASE(a_log_tells_of_no_epoch_twice) {
  const std::string command = "train" + tiny + "--lr 0.02 --log log" + with_epochs(epochs);
  const Small straight;
  (void)straight.good(command);
  const std::vector<std::string> lines = log_of(straight);
  for (const std::string tail : {"", "{\"epoch\":3,\"st", "{\"ep", "{\"epoch\":3,\"step\":27}"}) {
    for (const int stop : {5, 13}) {
      const Small place;
      (void)place.good(command + "--stop-after " + std::to_string(stop));
      const std::string before = read_bytes(place / "m.resume");
      (void)place.good(command + "--resume --stop-after 22");
      BOOST_TEST(log_of(place).size() == 2U);
      write_bytes(place / "m.resume", before);
      write_bytes(place / "log", read_bytes(place / "log") + tail);
      (void)place.good(command + "--resume");
      BOOST_TEST(log_of(place) == lines, "stopped after " << stop << ", tail " << tail);
    }
  }
  // What is not of this program stays, and a run that is refused changes nothing.
  const Small place;
  (void)place.good(command + "--stop-after 13");
  write_bytes(place / "log", "[1]\nprecious\n" + read_bytes(place / "log") + "{\"epoch\":2}\n");
  const std::string log = read_bytes(place / "log");
  BOOST_TEST(place.run(command + "--resume --seed 2").status == 1);
  BOOST_TEST(read_bytes(place / "log") == log);
  (void)place.good(command + "--resume");
  const std::vector<std::string> all = lines_of(read_bytes(place / "log"));
  BOOST_TEST(all.size() == 2U + lines.size());
  BOOST_TEST(all[1] == "precious");
  BOOST_TEST(place.run(command + "--resume --log new --seed 2").status != 0);
  BOOST_TEST(!fs::exists(place / "new"));
}

BOOST_AUTO_TEST_CASE(killed_before_the_first_epoch_ends) {
  const std::vector<std::string> arguments{
      "train", "--train", sample + "train.conllu", "--hidden", "64", "--batch", "4", "--epochs", "1", "--model", "m",
      "--log", "log"};
  std::string command;
  for (const std::string& argument : arguments) command += "'" + argument + "' ";
  const Place straight;
  (void)straight.good(command);
  for (const std::string moment : {"m.lock", "m.resume", "log"}) {
    const Place place;
    Running running(place, arguments);
    running.wait_until([&] { return fs::exists(place / moment); });
    BOOST_TEST(running.stop(SIGKILL).status == 1000 + SIGKILL);
    BOOST_TEST(!fs::exists(place / "m"));
    // Without a resume file there is nothing to go on with, and nothing in the way.
    const bool started = fs::exists(place / "m.resume");
    BOOST_TEST((started || moment == "m.lock"));
    if (started) {
      const Result refused = place.run(command);
      BOOST_TEST(refused.status == 1);
      BOOST_TEST(refused.err.find("--resume goes on with it") != std::string::npos, refused.err);
    }
    (void)place.good(command + (started ? "--resume" : ""));
    BOOST_TEST((Files(place) == Files(straight)));
    BOOST_TEST(log_of(place) == log_of(straight), boost::test_tools::per_element());
  }
}

// What a run that fails at once began is not in the way of the next one.
BOOST_AUTO_TEST_CASE(a_run_that_fails_before_its_first_save_leaves_nothing) {
  const Small place;
  const Result diverged = place.run("train --optimizer sgd --lr 1e38 --log log" + tiny);
  BOOST_TEST(diverged.status == 1);
  const std::vector<std::string> left = {"t"};
  BOOST_TEST(names_in(place) == left, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(two_runs_on_one_model_at_once) {
  const Small place;
  const std::vector<std::string> arguments{"train", "--train", "t", "--embedding-dim", "6", "--hidden",
                                           "5",     "--batch", "4", "--model",         "m", "--epochs",
                                           "100000"};
  std::string command;
  for (const std::string& argument : arguments) command += argument + " ";
  fs::create_symlink(place / "m", place / "link");
  Running running(place, arguments);
  running.wait_until([&] { return fs::exists(place / "m"); });
  for (const std::string more : {"", "--force", "--resume"}) {
    const Result refused = place.run(command + more);
    BOOST_TEST_CONTEXT(more << ": " << refused.err) {
      BOOST_TEST(refused.status == 1);
      BOOST_TEST(refused.out == "");
      BOOST_TEST(is_one_line(refused.err));
      BOOST_TEST(refused.err.find("m: another run is at work on it") != std::string::npos);
    }
  }
  BOOST_TEST(place.run("train --train t --force --model link").err.find("another run") != std::string::npos);
  BOOST_TEST(running.stop(SIGINT).status == 128 + SIGINT);
  BOOST_TEST(!fs::exists(place / "m.lock"));
  // A lock that a killed run left, or that is not of this program, locks nothing.
  write_bytes(place / "m.lock", "precious");
  (void)place.good(command + "--resume --stop-after 1");
  BOOST_TEST(read_bytes(place / "m.lock") == "precious");
}

BOOST_AUTO_TEST_CASE(one_file_for_two_things_is_refused) {
  const Small place;
  const std::string data = read_bytes(place / "t");
  fs::create_symlink("t", place / "to_t");
  fs::create_hard_link(place / "t", place / "twin");
  fs::create_symlink("later", place / "to_later");
  const std::string here = place.path().string();
  const std::map<std::string, std::string> wrong = {
      {"--train t --model t", "--train: t is the same file as --model (t)"},
      {"--train t --model ./t", "--train: t is the same file as --model (./t)"},
      {"--train t --model m --log to_t", "--train: t is the same file as --log (to_t)"},
      {"--train t --model twin", "--train: t is the same file as --model (twin)"},
      {"--train t --train to_t --model m --log '" + here + "/twin'", "--train: t is the same file as --log"},
      {"--train t --dev twin --model m --log m", "--log: m is the same file as --model (m)"},
      {"--train '" + sample + "train.conllu' --dev t --model m --log ./t", "--dev: t is the same file as --log (./t)"},
      {"--train '" + sample + "train.conllu' --test t --model m --log t", "--test: t is the same file as --log (t)"},
      {"--train t --model m --log m.resume", "--log: m.resume is the same file as the resume file (m.resume)"},
      {"--train t --model later --log to_later", "--log: to_later is the same file as --model (later)"},
      {"--train t --model m --log no/../m", "--log: no/../m is the same file as --model (m)"},
  };
  for (const auto& [arguments, reason] : wrong) {
    for (const std::string more : {"", " --force", " --resume"}) {
      const Result refused = place.run("train --epochs 1 " + arguments + more);
      BOOST_TEST_CONTEXT(arguments << more << ": " << refused.err) {
        BOOST_TEST(refused.status == 1);
        BOOST_TEST(is_one_line(refused.err));
        BOOST_TEST(refused.err.find(reason) != std::string::npos);
      }
    }
  }
  const std::vector<std::string> left = {"t", "to_later", "to_t", "twin"};
  BOOST_TEST(names_in(place) == left, boost::test_tools::per_element());
  BOOST_TEST((read_bytes(place / "t") == data));
}

BOOST_AUTO_TEST_SUITE_END()
