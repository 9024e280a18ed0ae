// Runs the program embergrad-classify as a user does, and looks at what it says, writes and leaves behind.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <embergrad/ops.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/text/char_ngrams.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bad_files.hpp"
#include "support/temporary_directory.hpp"
#include "tagger_support.hpp"

namespace {

namespace fs = std::filesystem;
using embergrad::test::is_one_line;
using embergrad::test::lines_of;
using embergrad::test::read_bytes;
using embergrad::test::Result;
using embergrad::test::Running;
using embergrad::test::write_bytes;

const std::string data = std::string(EMBERGRAD_TEST_DATA) + "/../../apps/bag_classifier/sample/";
const std::string small = " --dim 8 --buckets 256 --threads 1 ";

struct Place : embergrad::test::Place {
  Place() : embergrad::test::Place(EMBERGRAD_CLASSIFY) {}
};

// A model that knows something, trained once for all cases.
struct Trained {
  Place place;
  std::string model = place / "model.safetensors";
  Result training = place.good("train --model model.safetensors --threads 1");
};
const Trained& trained() {
  static const Trained once;
  return once;
}

double number_after(const std::string& text, const std::string& mark) {
  const auto at = text.find(mark);
  BOOST_TEST_REQUIRE(at != std::string::npos, mark << " is not in: " << text);
  return std::stod(text.substr(at + mark.size()));
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(classify)

BOOST_AUTO_TEST_CASE(learns_from_the_embedded_data) {
  const Result& training = trained().training;
  BOOST_TEST(training.err == "");
  for (const char* text : {"360 texts", "72 texts", "6 labels", "epoch 10/10", "model in model.safetensors"}) {
    BOOST_TEST(says(training.out, text), text);
  }
  BOOST_TEST(number_after(training.out, "of 10: dev accuracy ") > 0.8);
  // At the end two classified texts.
  BOOST_TEST(lines_of(training.out).back().ends_with(")"));
  BOOST_TEST(training.out.find('\r') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(eval_finds_the_best_again) {
  const Result eval = trained().place.good("eval --model model.safetensors '" + data + "dev.csv'");
  BOOST_TEST(number_after(eval.out, "accuracy ") == number_after(trained().training.out, "of 10: dev accuracy "));
  for (const char* text : {"macro F1 0.", " of 72 texts)", "class", "support", "weather        12"}) {
    BOOST_TEST(says(eval.out, text), text);
  }
  BOOST_TEST(trained().place.good("eval --model model.safetensors -", data + "dev.csv").out == eval.out);
}

BOOST_AUTO_TEST_CASE(predict_gives_a_line_for_each_line) {
  const Place place;
  write_bytes(place / "in.txt", "The orchestra plays a waltz.\n\nWill it snow tomorrow?\n");
  const std::string predict = "predict --model '" + trained().model + "' ";
  const std::vector<std::string> lines = lines_of(place.good(predict + "in.txt").out);
  BOOST_REQUIRE(lines.size() == 3U);
  BOOST_TEST(lines[0].starts_with("music\t"));
  BOOST_TEST(lines[2].starts_with("weather\t"));
  BOOST_TEST(number_after(lines[0], "\t") > 0.5);
  BOOST_TEST(number_after(lines[0], "\t") <= 1.0);
  BOOST_TEST(place.good(predict, place / "in.txt").out == place.good(predict + "in.txt").out);

  for (const std::string top : {"3", "100"}) {
    for (const std::string& line : lines_of(place.good(predict + "--top " + top + " in.txt").out)) {
      BOOST_TEST(std::count(line.begin(), line.end(), '\t') == (top == "3" ? 5 : 11));
      BOOST_TEST(number_after(line, "\t") >= std::stod(line.substr(line.rfind('\t') + 1)));
    }
  }
  write_bytes(place / "bad.txt", "fine\ncaf\xe9\n");
  const Result refused = place.run(predict + "bad.txt");
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(says(refused.err, "bad.txt:2: "));
  BOOST_TEST(refused.out == "");
}

BOOST_AUTO_TEST_CASE(a_prediction_by_hand) {
  using embergrad::text::fasttext_hash;
  const Place place;
  (void)place.good("train --model m --dropout 0 --dim 4 --buckets 64 --char-ngrams 3..3 --epochs 2 --threads 1");
  const embergrad::Loaded model = embergrad::load(place / "m");
  // Of "The Zz.": the word the (Zz is not known), the n-grams <th the he> <zz zz>, the pairs the zz and zz ., and ..
  const std::string words = model.metadata.at("words");
  const auto id = [&](const std::string& word) {
    const std::string before = words.substr(0, words.find('"' + word + '"'));
    BOOST_TEST_REQUIRE(before.size() < words.size());
    return std::count(before.begin(), before.end(), ',');
  };
  const auto& table = model.tensors.at("embedding.weight");
  const int64_t first_bucket = table.size(0) - 64;
  std::vector<int64_t> ids = {id("the"), id(".")};
  for (const char* gram : {"<th", "the", "he>", "<zz", "zz>", "<.>"}) {
    ids.push_back(first_bucket + fasttext_hash(gram) % 64);
  }
  const auto pair = [](const char* a, const char* b) {
    const auto extended = [](const char* word) {
      return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(fasttext_hash(word))));
    };
    return static_cast<int64_t>((extended(a) * 116049371U + extended(b)) % 64);
  };
  ids.push_back(first_bucket + pair("the", "zz"));
  ids.push_back(first_bucket + pair("zz", "."));
  const embergrad::Tensor mean = embergrad::mean(embergrad::embedding(embergrad::tensor(ids), table), {0}, true);
  const embergrad::Tensor scores = embergrad::linear(mean, model.tensors.at("fc.weight"), model.tensors.at("fc.bias"));
  const double expected = embergrad::amax(embergrad::softmax(scores, 1)).item();
  write_bytes(place / "in.txt", "The Zz.\n");
  BOOST_TEST(std::abs(number_after(place.good("predict --model m in.txt").out, "\t") - expected) < 1e-4);
}

BOOST_AUTO_TEST_CASE(the_same_seed_gives_the_same_model_for_any_threads) {
  const Place place;
  for (const std::string optimizer : {"adagrad", "adam", "sgd"}) {
    const std::string common = "train --quiet --force --epochs 2 --batch 64 --dropout 0.2 --optimizer " + optimizer;
    (void)place.good(common + " --model a --threads 1");
    (void)place.good(common + " --model b --threads 2");
    (void)place.good(common + " --model c --threads 1 --seed 2");
    BOOST_TEST((read_bytes(place / "a") == read_bytes(place / "b")), optimizer);
    BOOST_TEST((read_bytes(place / "a") != read_bytes(place / "c")), optimizer);
  }
}

BOOST_AUTO_TEST_CASE(every_option_acts) {
  const Place place;
  const auto model = [&](const std::string& options) {
    (void)place.good("train --quiet --force --model m --epochs 1 " + options);
    return read_bytes(place / "m");
  };
  const std::string plain = model(small);
  BOOST_TEST((model(small) == plain));
  for (const std::string option : {"--min-count 2", "--word-ngrams 1", "--word-ngrams 3", "--char-ngrams 0",
                                   "--char-ngrams 2..5", "--char-ngrams 3..4", "--dropout 0.5", "--mode sum",
                                   "--mode max", "--batch 4", "--optimizer adam", "--optimizer sgd", "--lr 0.01"}) {
    BOOST_TEST((model(small + option) != plain), option);
  }
  BOOST_TEST((model("--dim 9 --buckets 256") != plain));
  BOOST_TEST((model("--dim 8 --buckets 257") != plain));
}

BOOST_AUTO_TEST_CASE(parts_and_columns) {
  const Place place;
  const std::string train = "train --epochs 1 --train '" + data + "train.csv'" + small;
  const Result tenth = place.good(train + "--model a");
  BOOST_TEST(says(tenth.out, "36 texts; left for training: 324 texts"));
  const Result tested = place.good(train + "--dev '" + data + "dev.csv' --test '" + data + "dev.csv' --model b");
  BOOST_TEST(number_after(tested.out, "test accuracy ") == number_after(tested.out, ": dev accuracy "));
  const Result none = place.good(train + "--dev-fraction 0 --model c");
  BOOST_TEST(says(none.out, "dev         none"));
  BOOST_TEST(!says(none.out, "dev accuracy"));

  write_bytes(place / "one.csv", "text,category\nso it is,A\n");
  const Result one = place.good("train --model e --epochs 1 --train one.csv" + small);
  BOOST_TEST(says(one.out, "dev         none, as 1 text is too few to set some aside: the model of the last epoch"));
  const Result too_few = place.run("train --model f --epochs 1 --train one.csv --dev-fraction 0.5" + small);
  BOOST_TEST(too_few.status == 1);
  BOOST_TEST(says(too_few.err, "--dev-fraction: of 1 text none can be set aside"), too_few.err);
  BOOST_TEST(!fs::exists(place / "f"));

  write_bytes(place / "other.csv", "kind,id,words\nA,1,so it is\nB,2,not at all\n");
  (void)place.good("train --model d --epochs 1 --train other.csv --text-column words --label-column kind" + small);
  (void)place.good("eval --model d other.csv --text-column words --label-column kind");
  const Result refused = place.run("eval --model d other.csv");
  BOOST_TEST(refused.status == 1);
  BOOST_TEST(says(refused.err, "other.csv:1: the header has no column 'text'"));
  // Labels that training never saw.
  write_bytes(place / "new.csv", "text,category\nit is,C\n");
  const Result eval = place.good("eval --model d new.csv");
  BOOST_TEST(says(eval.err, "1 label that the model never saw, C"));
  BOOST_TEST(says(eval.out, "accuracy 0.0000"));
}

BOOST_AUTO_TEST_CASE(nasty_files_to_train_on) {
  for (const bad_files::Expectation& row : bad_files::expectations(".csv")) {
    const Place place;
    const Result got = place.run("train --model m --epochs 1 --train '" + bad_files::folder + row.file + "'" + small);
    BOOST_TEST_CONTEXT(row.file << ": " << got.out << got.err) {
      if (row.verdict == "accept") {
        BOOST_TEST(got.status == 0);
        BOOST_TEST(says(got.out, row.file + ": " + row.units + " text"));
        continue;
      }
      BOOST_TEST(got.status == 1);
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(says(got.err, row.file + (row.line == "-" ? ": " : ":" + row.line + ": ")));
      BOOST_TEST(got.out == "");
      BOOST_TEST(place.is_empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_run_that_was_resumed_ends_with_the_same_bytes) {
  const Place place;
  const std::string common = "train --dropout 0.3" + small;
  (void)place.good(common + "--model whole --epochs 4");
  (void)place.good(common + "--model part --epochs 2 --log log");
  BOOST_TEST(place.run(common + "--model part --epochs 4").status == 1);  // asks for --resume or --force
  const Result resumed = place.good(common + "--model part --epochs 4 --log log --resume");
  BOOST_TEST(says(resumed.out, "2 epochs behind it"));
  BOOST_TEST((read_bytes(place / "part") == read_bytes(place / "whole")));
  BOOST_TEST((read_bytes(place / "part.resume") == read_bytes(place / "whole.resume")));
  BOOST_TEST(lines_of(read_bytes(place / "log")).size() == 4U);

  const Result other = place.run(common + "--model part --epochs 5 --resume --lr 0.3 --seed 2");
  BOOST_TEST(other.status == 1);
  BOOST_TEST(is_one_line(other.err));
  for (const char* text : {"--lr was 0.2 and is 0.3", "--seed was 1 and is 2"}) BOOST_TEST(says(other.err, text));
  BOOST_TEST(says(place.run(common + "--model part --epochs 3 --resume").err, "--epochs"));
  const std::string whole = read_bytes(place / "part.resume");
  for (const std::string& bytes : {std::string(), whole.substr(0, whole.size() - 1), read_bytes(place / "part")}) {
    write_bytes(place / "part.resume", bytes);
    const Result damaged = place.run(common + "--model part --epochs 5 --resume");
    BOOST_TEST(damaged.status == 1);
    BOOST_TEST(says(damaged.err, "part.resume"));
  }
}

BOOST_AUTO_TEST_CASE(patience_and_ctrl_c) {
  const Place place;
  // With a learning rate that changes nothing, no epoch is better than the first.
  const Result patient = place.good("train --epochs 50 --patience 2 --lr 1e-12 --model m" + small);
  BOOST_TEST(says(patient.out, "stopped after 2 epochs without a better dev accuracy"));
  BOOST_TEST(says(patient.out, "best epoch 1 of 50"));

  Running running(place, {"train", "--model", "n", "--epochs", "1000000", "--threads", "1"});
  running.wait_until([&] { return running.says("epoch 2/"); });
  const Result stopped = running.stop(SIGINT);
  BOOST_TEST(stopped.status == 128 + SIGINT);
  BOOST_TEST(is_one_line(stopped.err));
  BOOST_TEST(says(stopped.err, "interrupted; the best model so far (epoch "));
  BOOST_TEST(fs::exists(place / "n.resume"));
  (void)place.good("eval --model n '" + data + "dev.csv'");
}

BOOST_AUTO_TEST_CASE(wrong_use_is_refused_by_name) {
  const Place place;
  const std::string file = "'" + data + "dev.csv'";
  const std::map<std::string, std::string> wrong = {
      {"", "command"},
      {"train --bogus 1", "--bogus"},
      {"train --epochs 0", "--epochs"},
      {"train --batch 0", "--batch"},
      {"train --dim 0", "--dim"},
      {"train --dim 65537", "--dim"},
      {"train --buckets 0", "--buckets"},
      {"train --min-count 0", "--min-count"},
      {"train --word-ngrams 0", "--word-ngrams"},
      {"train --word-ngrams 9", "--word-ngrams"},
      {"train --char-ngrams 5..3", "--char-ngrams"},
      {"train --char-ngrams 0..3", "--char-ngrams"},
      {"train --char-ngrams 3", "--char-ngrams"},
      {"train --char-ngrams 3..65", "--char-ngrams"},
      {"train --mode median", "--mode"},
      {"train --mode 1", "--mode"},
      {"train --dropout 1", "--dropout"},
      {"train --lr nan", "--lr"},
      {"train --optimizer lion", "--optimizer"},
      {"train --threads 0", "--threads"},
      {"train --seed -1", "--seed"},
      {"train --resume --force", "--force"},
      {"train --dev " + file, "--dev"},
      {"train --dev-fraction 0.1", "--dev-fraction"},
      {"train --train " + file + " --dev-fraction 0.1 --dev " + file, "--dev-fraction"},
      {"train --train " + file + " --dev-fraction 0 --patience 1", "--patience"},
      {"eval " + file, "--model"},
      {"eval --model m", "file"},
      {"predict " + file, "--model"},
      {"predict --model m --top 0", "--top"},
  };
  for (const auto& [arguments, name] : wrong) {
    const Result got = place.run(arguments);
    BOOST_TEST_CONTEXT(arguments << ": " << got.err) {
      BOOST_TEST(got.status == 2);
      BOOST_TEST(got.out == "");
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(got.err.starts_with("embergrad-classify: "));
      BOOST_TEST(says(got.err, name));
    }
  }
  for (const std::string arguments : {"train --train missing.csv", "train --train .", "train --model missing/m",
                                      "train --resume", "eval --model missing x.csv", "predict --model . x.txt"}) {
    const Result got = place.run(arguments);
    BOOST_TEST(got.status == 1, arguments);
    BOOST_TEST(is_one_line(got.err), arguments << ": " << got.err);
  }
  BOOST_TEST(place.is_empty());
  write_bytes(place / "classifier.safetensors", "precious");
  BOOST_TEST(says(place.run("train").err, "exists already"));
  BOOST_TEST(read_bytes(place / "classifier.safetensors") == "precious");
  const Result diverged = place.run("train --force --optimizer sgd --mode sum --lr 1e38 --quiet" + small);
  BOOST_TEST(diverged.status == 1);
  BOOST_TEST(says(diverged.err, "--lr"));

  for (const std::string arguments : {"--help", "train --help", "eval --help", "predict --help", "--version"}) {
    for (const std::string& line : lines_of(place.good(arguments).out)) BOOST_TEST(line.size() <= 82U, line);
  }
}

BOOST_AUTO_TEST_CASE(files_that_are_no_models) {
  const embergrad::Loaded model = embergrad::load(trained().model);
  const Place place;
  const auto refused = [&](const std::string& what, const std::string& reason) {
    const Result got = place.run("predict --model m");
    BOOST_TEST_CONTEXT(what << ": " << got.err) {
      BOOST_TEST(got.status == 1);
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(says(got.err, "m: "));
      BOOST_TEST(says(got.err, reason));
    }
  };
  const auto with = [&](const std::string& key, const std::string& value, const std::string& reason) {
    embergrad::Metadata metadata = model.metadata;
    metadata[key] = value;
    embergrad::save(place / "m", model.tensors, metadata);
    refused(key + " " + value, reason);
  };
  with("embergrad.format", "embergrad-tagger", "embergrad-tagger");
  with("embergrad.version", "2", "version 1");
  with("labels", "[]", "labels");
  with("labels", R"(["X","X"])", "labels");
  with("labels", R"(["X","Y"])", "fc.weight");
  with("words", "{}", "words");
  with("words", R"(["a"])", "embedding.weight");
  with("options", "[]", "options");
  for (const auto& [from, to] : std::map<std::string, std::string>{{"\"dim\":32", "\"dim\":31"},
                                                                   {"\"dim\":32,", ""},
                                                                   {"\"buckets\":2048", "\"buckets\":0"},
                                                                   {"\"max_chars\":5", "\"max_chars\":2"},
                                                                   {"\"max_chars\":5", "\"max_chars\":99"},
                                                                   {"\"mode\":\"mean\"", "\"mode\":\"median\""},
                                                                   {"\"word_ngrams\":2", "\"word_ngrams\":-1"}}) {
    std::string options = model.metadata.at("options");
    const auto at = options.find(from);
    BOOST_TEST_REQUIRE(at != std::string::npos, from);
    with("options", options.replace(at, from.size(), to), "not a model of this program");
  }
  const std::string whole = read_bytes(trained().model);
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, whole.size() - 1}) {
    write_bytes(place / "m", whole.substr(0, size));
    refused("cut off", "m");
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(classify_banking77)

BOOST_AUTO_TEST_CASE(is_as_good_as_softmax_regression) {
  const char* folder = std::getenv("EMBERGRAD_BANKING77");
  if (folder == nullptr) {
    BOOST_TEST_MESSAGE("skipped: EMBERGRAD_BANKING77 names no folder with train.csv and test.csv of BANKING77");
    return;
  }
  const Place place;
  const std::string at = std::string("'") + folder + "/";
  const Result result =
      place.good("train --train " + at + "train.csv' --dev-fraction 0 --test " + at + "test.csv' --model m");
  BOOST_TEST(number_after(result.out, "test accuracy ") >= 0.885);
}

BOOST_AUTO_TEST_SUITE_END()
