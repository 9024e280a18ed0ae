// Runs the program embergrad-tagger as a user does, and looks at what it says, writes and leaves behind.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <embergrad/safetensors.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bad_files.hpp"
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
using embergrad::test::small;
using embergrad::test::TemporaryDirectory;
using embergrad::test::write_bytes;

// A model that knows something, trained once for all cases.
struct Trained {
  Place place;
  std::string model = place / "model.safetensors";
  Result training = place.good("train --model model.safetensors --epochs 8 --threads 1");
};
const Trained& trained() {
  static const Trained once;
  return once;
}

// The number that follows the first `mark`, and the one before it.
std::string number_after(const std::string& text, const std::string& mark) {
  const auto at = text.find(mark);
  BOOST_TEST_REQUIRE(at != std::string::npos, mark << " is not in: " << text);
  const auto start = at + mark.size();
  return text.substr(start, text.find_first_not_of("0123456789.", start) - start);
}
std::string number_before(const std::string& text, const std::string& mark) {
  const auto at = text.find(mark);
  BOOST_TEST_REQUIRE(at != std::string::npos, mark << " is not in: " << text);
  const auto start = text.find_last_not_of("0123456789", at - 1) + 1;
  return text.substr(start, at - start);
}

// The dev accuracy after each epoch.
std::vector<double> accuracies(const std::string& out) {
  const std::string mark = "  dev ";
  std::vector<double> all;
  for (auto at = out.find(mark + "0."); at != std::string::npos; at = out.find(mark + "0.", at + 1)) {
    all.push_back(std::stod(number_after(out.substr(at), mark)));
  }
  return all;
}

// The words and tags of a line of tagged text.
std::vector<std::pair<std::string, std::string>> tagged_words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::pair<std::string, std::string>> words;
  for (std::string one; in >> one;) {
    const auto slash = one.rfind('/');
    BOOST_TEST_REQUIRE(slash != std::string::npos, one);
    words.emplace_back(one.substr(0, slash), one.substr(slash + 1));
  }
  return words;
}

// The columns of a line.
std::vector<std::string> columns(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> all;
  for (std::string one; std::getline(in, one, '\t');) all.push_back(one);
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tagger)

BOOST_AUTO_TEST_CASE(learns_from_the_embedded_corpus) {
  const Result& training = trained().training;
  BOOST_TEST(training.err == "");
  for (const char* text : {"420 sentences", "17 tags: ADJ ", "unknown     14.29%", "8 epochs, batches of 8 sentences",
                           "parameters", "1 thread, on cpu\n", "model in model.safetensors"}) {
    BOOST_TEST(training.out.find(text) != std::string::npos, text);
  }
  const std::vector<double> rising = accuracies(training.out);
  BOOST_REQUIRE(rising.size() == 8U);
  BOOST_TEST(rising[0] > 0.3);
  BOOST_TEST(rising[2] > rising[0] + 0.1);
  BOOST_TEST(rising[7] > 0.88);
  // At the end a tagged sentence.
  const auto sentence = tagged_words(lines_of(training.out).back());
  BOOST_REQUIRE(sentence.size() >= 8U);
  BOOST_TEST(sentence.front().second == "DET");
  BOOST_TEST(sentence.back().second == "PUNCT");
  // On no terminal there is nothing but plain lines.
  BOOST_TEST(training.out.find('\r') == std::string::npos);
  BOOST_TEST(training.out.find('\x1b') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(keeps_the_best_and_eval_finds_it_again) {
  const Result& training = trained().training;
  const std::string best = number_after(training.out, " of 8: dev accuracy ");
  const std::vector<double> all = accuracies(training.out);
  BOOST_TEST(std::stod(best) == *std::max_element(all.begin(), all.end()));

  const Result eval = trained().place.good("eval --model model.safetensors '" + sample + "dev.conllu'");
  BOOST_TEST(eval.out.starts_with("accuracy " + best + "  ("));
  for (const char* text : {" of 462 words)\nunknown words 0.", " of 66 words)\n", "tag ", "NOUN", "PUNCT"}) {
    BOOST_TEST(eval.out.find(text) != std::string::npos, text);
  }
  const Result piped = trained().place.good("eval --model model.safetensors -", sample + "dev.conllu");
  BOOST_TEST(piped.out == eval.out);
}

BOOST_AUTO_TEST_CASE(a_model_is_not_overwritten_unasked) {
  const Place place;
  write_bytes(place / "m", "precious");
  const Result refused = place.run("train --model m --epochs 1" + small);
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(is_one_line(refused.err));
  BOOST_TEST(refused.err.find("m: exists already; --force replaces it") != std::string::npos);
  BOOST_TEST(read_bytes(place / "m") == "precious");
  (void)place.good("train --model m --force --epochs 1" + small);
  BOOST_TEST(read_bytes(place / "m") != "precious");
}

BOOST_AUTO_TEST_CASE(conllu_comes_back_with_tags_and_nothing_else_changed) {
  const Place& place = trained().place;
  const std::string input = sample + "dev.conllu";
  const Result tagged = place.good("tag --model model.safetensors '" + input + "'");
  BOOST_TEST(tagged.err.find("462 words") != std::string::npos);
  BOOST_TEST(tagged.err.find("60 sentences") != std::string::npos);
  const std::vector<std::string> before = lines_of(read_bytes(input));
  const std::vector<std::string> after = lines_of(tagged.out);
  BOOST_REQUIRE(before.size() == after.size());
  int right = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].empty() || before[i][0] == '#') {
      BOOST_TEST(after[i] == before[i]);
      continue;
    }
    std::vector<std::string> expected = columns(before[i]);
    const std::vector<std::string> got = columns(after[i]);
    BOOST_REQUIRE(got.size() == 10U);
    right += got[3] == expected[3] ? 1 : 0;
    expected[3] = got[3];
    BOOST_TEST(got == expected, boost::test_tools::per_element());
  }
  BOOST_TEST(right > 462 * 85 / 100);

  // The same by other roads.
  const Result piped = place.good("tag --model model.safetensors --format conllu --quiet", input);
  BOOST_TEST(piped.out == tagged.out);
  BOOST_TEST(piped.err == "");
  const Place elsewhere;
  const std::string output = " --output '" + elsewhere / "out" + "'";
  const Result filed = place.good("tag --model model.safetensors '" + input + "'" + output);
  BOOST_TEST(filed.out == "");
  BOOST_TEST(read_bytes(elsewhere / "out") == tagged.out);
  // What is there stays there, unless --force is given; no temporary file is left.
  write_bytes(elsewhere / "out", "precious");
  BOOST_TEST(place.run("tag --model model.safetensors '" + input + "'" + output).status == 1);
  BOOST_TEST(read_bytes(elsewhere / "out") == "precious");
  (void)place.good("tag --model model.safetensors --force '" + input + "'" + output);
  BOOST_TEST(read_bytes(elsewhere / "out") == tagged.out);
  BOOST_TEST(std::distance(fs::directory_iterator(elsewhere.path()), fs::directory_iterator()) == 1);
}

BOOST_AUTO_TEST_CASE(text_comes_back_as_word_and_tag) {
  const Place place;
  write_bytes(place / "in.txt", "The  wind is cold .\n\n\tIt rains\n");
  const Result tagged = place.good("tag --model '" + trained().model + "' in.txt");
  const std::vector<std::string> lines = lines_of(tagged.out);
  BOOST_REQUIRE(lines.size() == 3U);
  const auto first = tagged_words(lines[0]);
  const std::vector<std::string> expected = {"The", "wind", "is", "cold", "."};
  BOOST_REQUIRE(first.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) BOOST_TEST(first[i].first == expected[i]);
  BOOST_TEST(first[0].second == "DET");
  BOOST_TEST(first[2].second == "AUX");
  BOOST_TEST(first[4].second == "PUNCT");
  BOOST_TEST(lines[1] == "");
  BOOST_TEST(lines[2].starts_with("It/PRON rains/"));
  BOOST_TEST(tagged.err.find("2 sentences") != std::string::npos);
  // The name of a pipe tells no format.
  const Result refused = place.run("tag --model '" + trained().model + "'", place / "in.txt");
  BOOST_TEST(refused.status == 2);
  BOOST_TEST(refused.err.find("--format") != std::string::npos);
  BOOST_TEST(place.good("tag --format text --model '" + trained().model + "' -", place / "in.txt").out == tagged.out);
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_an_error) {
  const Place& place = trained().place;
  const std::string tag = "tag --model model.safetensors '" + sample + "dev.conllu'";
  BOOST_TEST(
      std::system(("cd '" + place.path().string() + "' && '" EMBERGRAD_TAGGER "' " + tag + " >/dev/full 2>/dev/null")
                      .c_str()) != 0);
  const Result refused = place.run(tag + " --force --output /dev/full");
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(refused.err.find("/dev/full: cannot write: No space left") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nasty_files_to_train_on) {
  for (const bad_files::Expectation& row : bad_files::expectations(".conllu")) {
    if (row.mode != "train") continue;
    const Place place;
    const Result got = place.run("train --model m --epochs 1 --train '" + bad_files::folder + row.file + "'" + small);
    BOOST_TEST_CONTEXT(row.file << ": " << got.out << got.err) {
      if (row.verdict == "accept") {
        BOOST_TEST(got.status == 0);
        BOOST_TEST(fs::exists(place / "m"));
        BOOST_TEST(number_before(got.out, " sentence") == row.units);
        BOOST_TEST(number_before(got.out, " word") == row.words);
        continue;
      }
      const std::string line = row.line == "-" ? ": " : ":" + row.line + ": ";
      BOOST_TEST(got.status == 1);
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(got.err.find(row.file + line) != std::string::npos);
      BOOST_TEST(got.out == "");
      BOOST_TEST(place.is_empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(nasty_files_to_tag) {
  for (const std::string ending : {".conllu", ".txt"}) {
    for (const bad_files::Expectation& row : bad_files::expectations(ending)) {
      if (row.mode != "tag") continue;
      const Place place;
      const std::string command =
          "tag --threads 1 --model '" + trained().model + "' '" + bad_files::folder + row.file + "'";
      const Result got = place.run(command);
      BOOST_TEST_CONTEXT(row.file << ": " << got.err) {
        if (row.verdict == "accept") {
          BOOST_TEST(got.status == 0);
          BOOST_TEST(number_after(got.err, "tagged  ") == row.words);
          BOOST_TEST(number_before(got.err, " sentence") == row.units);
          // Either all lines come back, or, for text, as many.
          const std::string bytes = bad_files::bytes_of(row.file);
          BOOST_TEST(lines_of(got.out).size() == lines_of(bytes).size());
          continue;
        }
        BOOST_TEST(got.status == 1);
        BOOST_TEST(got.out == "");
        const Result filed = place.run(command + " --output out");
        BOOST_TEST(filed.err == got.err);
        BOOST_TEST(is_one_line(got.err));
        BOOST_TEST(got.err.find(row.file + ":" + row.line + ": ") != std::string::npos);
        BOOST_TEST(place.is_empty());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_model_for_any_threads) {
  const Place place;
  const std::string common = "--epochs 2 --dropout 0.2 --layers 2 --embedding-dim 64 --hidden 64 ";
  (void)place.good("train --model a --threads 1 " + common);
  (void)place.good("train --model b --threads 1 " + common);
  (void)place.good("train --model c --threads 2 " + common);
  (void)place.good("train --model d --threads 1 --seed 2 " + common);
  BOOST_TEST((read_bytes(place / "a") == read_bytes(place / "b")));
  BOOST_TEST((read_bytes(place / "a") == read_bytes(place / "c")));
  BOOST_TEST((read_bytes(place / "a") != read_bytes(place / "d")));
}

BOOST_AUTO_TEST_CASE(every_option_acts) {
  const Place place;
  const auto model = [&](const std::string& options) {
    const Result result = place.run("train --force --model m --epochs 1 --threads 1 " + options);
    BOOST_TEST_REQUIRE(result.status == 0, options << ": " << result.err);
    return read_bytes(place / "m");
  };
  const std::string sizes = "--embedding-dim 8 --hidden 8 ";
  const std::string plain = model(sizes);
  BOOST_TEST((model(sizes) == plain));
  for (const std::string option :
       {"--seed 2", "--min-count 1", "--layers 2", "--dropout 0.5", "--unidirectional", "--init pytorch", "--batch 4",
        "--optimizer adamw", "--optimizer adamw --weight-decay 0.5", "--optimizer sgd", "--lr 0.01",
        "--optimizer sgd --momentum 0.9", "--weight-decay 0.1", "--clip 0.1", "--schedule linear", "--schedule cosine",
        "--schedule onecycle", "--stop-after 1"}) {
    BOOST_TEST((model(sizes + option) != plain), option);
  }
  BOOST_TEST((model("--embedding-dim 9 --hidden 8") != plain));
  BOOST_TEST((model("--embedding-dim 8 --hidden 9") != plain));
}

BOOST_AUTO_TEST_CASE(development_and_test_parts) {
  const Place place;
  const std::string train = "train --epochs 1 --train '" + sample + "train.conllu' " + small;
  const Result tenth = place.good(train + "--model a");
  BOOST_TEST(tenth.out.find("42 sentences, ") != std::string::npos);
  BOOST_TEST(tenth.out.find("left for training: 378 sentences, ") != std::string::npos);
  (void)place.good(train + "--model b --dev-fraction 0.1");
  BOOST_TEST((read_bytes(place / "a") == read_bytes(place / "b")));

  const Result none = place.good(train + "--model c --dev-fraction 0");
  BOOST_TEST(accuracies(none.out).empty());
  BOOST_TEST(none.out.find("dev         none") != std::string::npos);

  // Several files are one corpus.
  const Result two = place.good(train + "--train '" + sample + "dev.conllu' --dev-fraction 0.5 --model d");
  BOOST_TEST(two.out.find("set aside of these: 240 sentences, ") != std::string::npos);

  const Result tested =
      place.good(train + "--dev '" + sample + "dev.conllu' --test '" + sample + "dev.conllu' --model e");
  BOOST_TEST(number_after(tested.out, "test accuracy ") == number_after(tested.out, "dev accuracy "));

  // A fault in any of the files is found before anything is trained.
  for (const std::string option : {"--dev", "--test"}) {
    const Result refused = place.run(train + "--model f " + option + " '" + bad_files::folder + "bad_html.conllu'");
    BOOST_TEST(refused.status == 1);
    BOOST_TEST(refused.err.find("bad_html.conllu:1: ") != std::string::npos);
    BOOST_TEST(!fs::exists(place / "f"));
  }
}

BOOST_AUTO_TEST_CASE(patience_ends_training) {
  const Place place;
  // With a learning rate that changes nothing, no epoch is better than the first.
  const Result stopped = place.good("train --epochs 50 --patience 2 --lr 1e-12 --model m" + small);
  BOOST_TEST(accuracies(stopped.out).size() == 3U);
  BOOST_TEST(stopped.out.find("stopped after 2 epochs without a better dev accuracy") != std::string::npos);
  BOOST_TEST(stopped.out.find("best epoch 1 of 50") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(training_that_diverges_says_so) {
  const Place place;
  const Result diverged = place.run("train --optimizer sgd --lr 1e38 --epochs 3 --quiet --model m" + small);
  BOOST_TEST(diverged.status == 1);
  BOOST_TEST(is_one_line(diverged.err));
  BOOST_TEST(diverged.err.find("--lr") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(ctrl_c_keeps_the_best_so_far) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const Place place;
    Running running(place, {"train", "--model", "m", "--epochs", "100000", "--threads", "1", "--hidden", "16"});
    running.wait_until([&] { return running.says("epoch 2/"); });
    const Result stopped = running.stop(signal);
    BOOST_TEST(stopped.status == 128 + signal);
    BOOST_TEST(is_one_line(stopped.err));
    BOOST_TEST(stopped.err.find("interrupted; the best model so far (epoch ") != std::string::npos);
    const Result eval = place.good("eval --model m '" + sample + "dev.conllu'");
    std::vector<double> all = accuracies(stopped.out);
    BOOST_TEST(std::stod(number_after(eval.out, "accuracy ")) == *std::max_element(all.begin(), all.end()));
    BOOST_TEST(stopped.err.find("--resume goes on") != std::string::npos);
    BOOST_TEST(fs::exists(place / "m.resume"));
    BOOST_TEST(std::distance(fs::directory_iterator(place.path()), fs::directory_iterator()) == 2);
  }
}

BOOST_AUTO_TEST_CASE(ctrl_c_in_the_first_epoch_keeps_the_weights_as_they_are) {
  const Place place;
  Running running(place,
                  {"train", "--model", "m", "--threads", "1", "--batch", "1", "--layers", "4", "--hidden", "256"});
  running.wait_until([&] { return running.says("training "); });
  const Result stopped = running.stop(SIGINT);
  BOOST_TEST(stopped.status == 130);
  BOOST_TEST(stopped.err.find("before the end of the first epoch") != std::string::npos);
  (void)place.good("eval --model m '" + sample + "dev.conllu'");
}

BOOST_AUTO_TEST_CASE(wrong_use_is_refused_by_name) {
  const Place place;
  const std::string file = "'" + sample + "dev.conllu'";
  const std::map<std::string, std::string> wrong = {
      {"", "command"},
      {"trian", "trian"},
      {"train more", "more"},
      {"train --bogus 1", "--bogus"},
      {"train --epochs 0", "--epochs"},
      {"train --epochs -3", "--epochs"},
      {"train --epochs 1.5", "--epochs"},
      {"train --epochs 0x10", "--epochs"},
      {"train --epochs 99999999999999999999", "--epochs"},
      {"train --epochs", "--epochs"},
      {"train --epochs 1 --epochs 2", "--epochs"},
      {"train --seed -1", "--seed"},
      {"train --batch 0", "--batch"},
      {"train --embedding-dim 0", "--embedding-dim"},
      {"train --embedding-dim 65537", "--embedding-dim"},
      {"train --hidden many", "--hidden"},
      {"train --layers 0", "--layers"},
      {"train --dropout 1", "--dropout"},
      {"train --dropout -0.1", "--dropout"},
      {"train --lr 0", "--lr"},
      {"train --lr nan", "--lr"},
      {"train --lr inf", "--lr"},
      {"train --lr 1e-3x", "--lr"},
      {"train --weight-decay -1", "--weight-decay"},
      {"train --clip 0", "--clip"},
      {"train --optimizer lion", "--optimizer"},
      {"train --optimizer 1", "--optimizer"},
      {"train --init zero", "--init"},
      {"train --momentum 0.9", "--momentum"},
      {"train --optimizer sgd --momentum 0.9 --schedule onecycle", "--momentum"},
      {"train --schedule step", "--schedule"},
      {"train --save-every 0", "--save-every"},
      {"train --stop-after 0", "--stop-after"},
      {"train --resume --force", "--force"},
      {"train --optimizer sgd --momentum 1", "--momentum"},
      {"train --min-count 0", "--min-count"},
      {"train --patience -1", "--patience"},
      {"train --threads 0", "--threads"},
      {"train --dev " + file, "--dev"},
      {"train --dev-fraction 0.1", "--dev-fraction"},
      {"train --train " + file + " --dev-fraction 1", "--dev-fraction"},
      {"train --train " + file + " --dev-fraction 0.1 --dev " + file, "--dev-fraction"},
      {"train --train " + file + " --dev-fraction 0 --patience 1", "--patience"},
      {"eval " + file, "--model"},
      {"eval --model m", "file"},
      {"tag " + file, "--model"},
      {"tag --model m --format latex " + file, "--format"},
      {"tag --model m words.csv", "--format"},
      {"tag --model m --force " + file, "--force"},
  };
  for (const auto& [arguments, name] : wrong) {
    const Result got = place.run(arguments);
    BOOST_TEST_CONTEXT(arguments << ": " << got.err) {
      BOOST_TEST(got.status == 2);
      BOOST_TEST(got.out == "");
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(got.err.starts_with("embergrad-tagger: "));
      BOOST_TEST(got.err.find(name) != std::string::npos);
    }
  }
  BOOST_TEST(place.is_empty());
}

BOOST_AUTO_TEST_CASE(what_the_system_refuses) {
  const Place place;
  for (const std::string arguments :
       {"train --train missing.conllu", "train --train .", "train --model missing/m", "train --model .",
        "train --resume", "train --resume --model missing/m", "eval --model missing x.conllu",
        "tag --model missing x.conllu", "tag --model . x.conllu"}) {
    const Result got = place.run(arguments + " --threads 1");
    BOOST_TEST_CONTEXT(arguments << ": " << got.err) {
      BOOST_TEST(got.status == 1);
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(got.out == "");
    }
  }
  BOOST_TEST(place.is_empty());
}

BOOST_AUTO_TEST_CASE(help_and_version) {
  const Place place;
  const std::map<std::string, std::vector<std::string>> all = {
      {"--help", {"train", "eval", "tag", "--version"}},
      {"train --help",
       {"Data:", "Network:", "Training:", "--train FILE", "--dev-fraction X", "(tagger.safetensors)", "(128)"}},
      {"eval --help", {"--model FILE"}},
      {"tag --help", {"--format", "--output"}},
      {"--version", {"embergrad-tagger 0."}},
  };
  for (const auto& [arguments, texts] : all) {
    const Result got = place.good(arguments);
    for (const std::string& text : texts)
      BOOST_TEST(got.out.find(text) != std::string::npos, arguments << ": " << text);
    for (const std::string& line : lines_of(got.out)) BOOST_TEST(line.size() <= 82U, line);
  }
}

BOOST_AUTO_TEST_CASE(tags_that_training_never_saw) {
  const Place place;
  write_bytes(place / "x.conllu", "1\tIt\t_\tPRON\t_\t_\t_\t_\t_\t_\n2\trains\t_\tRAIN\t_\t_\t_\t_\t_\t_\n\n");
  const Result eval = place.good("eval --model '" + trained().model + "' x.conllu");
  BOOST_TEST(eval.out.find(" of 2 words)") != std::string::npos);
  BOOST_TEST(eval.out.find("RAIN") != std::string::npos);
  BOOST_TEST(eval.err.find("1 tag that the model never saw, RAIN") != std::string::npos);
  const Result training =
      place.good("train --epochs 1 --model m --train '" + sample + "train.conllu' --dev x.conllu" + small);
  BOOST_TEST(accuracies(training.out).size() == 1U);
}

BOOST_AUTO_TEST_CASE(files_that_are_no_models) {
  const embergrad::Loaded model = embergrad::load(trained().model);
  const Place place;
  const auto refused = [&](const std::string& what, const std::string& reason) {
    const Result got = place.run("tag --model m.safetensors --threads 1 --format text -");
    BOOST_TEST_CONTEXT(what << ": " << got.err) {
      BOOST_TEST(got.status == 1);
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(got.err.find("m.safetensors: ") != std::string::npos);
      BOOST_TEST(got.err.find(reason) != std::string::npos);
    }
  };
  using Change = std::function<void(embergrad::Metadata&)>;
  const auto with = [&](const std::string& what, const Change& change, const std::string& reason) {
    embergrad::Metadata metadata = model.metadata;
    change(metadata);
    embergrad::save(place / "m.safetensors", model.tensors, metadata);
    refused(what, reason);
  };
  with(
      "no metadata", [](auto& m) { m.clear(); }, "no embergrad.format");
  with(
      "another program's", [](auto& m) { m["embergrad.format"] = "embergrad-classify"; }, "embergrad-classify");
  with(
      "a later version", [](auto& m) { m["embergrad.version"] = "2"; }, "version 1");
  with(
      "no words", [](auto& m) { m.erase("words"); }, "no words");
  with(
      "no JSON", [](auto& m) { m["words"] = "[\"a\""; }, "words");
  with(
      "no array", [](auto& m) { m["tags"] = "{}"; }, "tags");
  with(
      "no strings", [](auto& m) { m["tags"] = "[1]"; }, "tags");
  with(
      "no tags", [](auto& m) { m["tags"] = "[]"; }, "tags");
  with(
      "a tag twice", [](auto& m) { m["tags"] = "[\"X\",\"X\"]"; }, "tags");
  with(
      "fewer tags", [](auto& m) { m["tags"] = "[\"X\",\"Y\"]"; }, "hidden2tag.weight");
  with(
      "fewer words", [](auto& m) { m["words"] = "[\"<pad>\",\"<unk>\"]"; }, "word_embeddings.weight");
  with(
      "no specials", [](auto& m) { m["words"] = "[\"a\"]"; }, "words");
  const std::string options = model.metadata.at("options");
  for (const auto& [from, to] : std::map<std::string, std::string>{
           {"\"hidden\":128", "\"hidden\":64"},
           {"\"hidden\":128,", ""},
           {"\"hidden\":128", "\"hidden\":1e3"},
           {"\"hidden\":128", "\"hidden\":-1"},
           {"\"hidden\":128", "\"hidden\":18446744073709551615"},
           {"\"hidden\":128", "\"hidden\":" + std::string(100'000, '[') + std::string(100'000, ']')},
           {"\"layers\":1", "\"layers\":2"},
           {"\"layers\":1", "\"layers\":0"},
           {"\"bidirectional\":true", "\"bidirectional\":false"},
           {"\"bidirectional\":true", "\"bidirectional\":1"},
           {"\"dropout\":0.0", "\"dropout\":1"},
           {"\"embedding_dim\":100", "\"embedding_dim\":99"},
       }) {
    std::string changed = options;
    const auto at = changed.find(from);
    BOOST_TEST_REQUIRE(at != std::string::npos, from);
    changed.replace(at, from.size(), to);
    with(
        to, [&](auto& m) { m["options"] = changed; }, "not a model of this program");
  }
  // Tensors that are missing, or too many.
  embergrad::StateDict some;
  for (const auto& [name, tensor] : model.tensors) {
    if (name != "lstm.bias_hh_l0") some.set(name, tensor);
  }
  embergrad::save(place / "m.safetensors", some, model.metadata);
  refused("a tensor is missing", "lstm.bias_hh_l0");
  some.set("lstm.bias_hh_l0", model.tensors.at("lstm.bias_hh_l0"));
  some.set("more", model.tensors.at("hidden2tag.bias"));
  embergrad::save(place / "m.safetensors", some, model.metadata);
  refused("a tensor too many", "more");
  // Files cut off.
  const std::string whole = read_bytes(trained().model);
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{100}, whole.size() - 1}) {
    write_bytes(place / "m.safetensors", whole.substr(0, size));
    refused("cut off", "m.safetensors");
  }
}

BOOST_AUTO_TEST_CASE(a_sentence_of_100000_words) {
  const Place place;
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "rain ";
  write_bytes(place / "long.txt", text + "\n");
  (void)place.good("train --epochs 1 --model m --threads 1 --embedding-dim 8 --hidden 8");
  const Result tagged = place.good("tag --model m long.txt");
  BOOST_TEST(tagged.err.find("tagged  100000 words") != std::string::npos);
  BOOST_TEST(std::count(tagged.out.begin(), tagged.out.end(), '/') == 100000);
}

BOOST_AUTO_TEST_SUITE_END()
