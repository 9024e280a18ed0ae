// embergrad-tagger train --vectors.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <embergrad/safetensors.hpp>
#include <embergrad/tensor.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/vocabulary.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
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
using embergrad::test::sample;
using embergrad::test::write_bytes;
using embergrad::text::Vocabulary;

using Row = std::vector<float>;

constexpr std::size_t dim = 6;
const std::string data = " --train '" + sample + "train.conllu' --dev '" + sample + "dev.conllu' --threads 1 ";
const std::string tiny = data + "--hidden 5 --batch 8 --lr 0.02 --model m ";

const Vocabulary& words() {
  static const Vocabulary all =
      Vocabulary::of_words(embergrad::text::read_conllu(sample + "train.conllu"), {.min_count = 2});
  return all;
}

/// Vectors for every other word, some of which are there in lower case alone; and for others.
struct Vectors {
  std::map<int64_t, Row> rows;
  std::string text;
  int64_t exact = 0, lower_case = 0;

  Vectors() {
    std::set<std::string> written;
    std::ostringstream out;
    const auto write = [&](const std::string& word, const Row& row) {
      written.insert(word);
      out << word;
      for (const float x : row) out << " " << x;
      out << "\n";
    };
    for (int64_t id = 2; id < words().size(); id += 2) {
      rows[id].assign(dim, 0);
      for (std::size_t k = 0; k < dim; ++k)
        rows[id][k] = static_cast<float>((id * 7 + static_cast<int64_t>(k) * 5) % 16 - 8) / 16 + 0.03125F;
      write(words().name(id), rows[id]);
      ++exact;
    }
    for (int64_t id = 3; id < words().size(); id += 2) {
      // ASCII will do here.
      std::string small = words().name(id);
      for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      if (small == words().name(id)) continue;
      if (!words().contains(small) && !written.contains(small)) write(small, Row(dim, 0.25F));
      const auto own = words().find(small);
      if (own && !rows.contains(*own)) continue;
      rows[id] = own ? rows.at(*own) : Row(dim, 0.25F);
      ++lower_case;
    }
    write("nobody-says-this", Row(dim, 1));
    text = out.str();
  }
};

const Vectors& vectors() {
  static const Vectors all;
  return all;
}

// A directory with the file v.
struct WithVectors : Place {
  WithVectors() { write_bytes(*this / "v", vectors().text); }
};

embergrad::Tensor table_of(const Place& place) {
  return embergrad::load(place / "m").tensors.at("word_embeddings.weight");
}

// How many of the rows that have vectors still hold them.
std::size_t kept(const embergrad::Tensor& table) {
  std::size_t count = 0;
  for (const auto& [id, row] : vectors().rows) count += table[id].to_vector() == row ? 1 : 0;
  return count;
}

struct Files {
  std::string model, resume;
  explicit Files(const Place& place) : model(read_bytes(place / "m")), resume(read_bytes(place / "m.resume")) {}
  bool operator==(const Files&) const = default;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(tagger_vectors)

BOOST_AUTO_TEST_CASE(frozen_vectors_stay_and_others_learn) {
  BOOST_TEST_REQUIRE(vectors().lower_case > 3);
  const WithVectors place;
  const Result got = place.good("train --epochs 2 --weight-decay 0.01 --vectors v --freeze-vectors" + tiny);
  const std::string report = "vectors     v, frozen: ";
  BOOST_TEST_REQUIRE(got.out.find(report) != std::string::npos, got.out);
  BOOST_TEST(
      got.out.find(std::to_string(vectors().exact) + " of " + std::to_string(words().size() - 2) + " words exact, " +
                   std::to_string(vectors().lower_case) + " lower-case, ") != std::string::npos,
      got.out);
  BOOST_TEST(got.out.find("embedding 6, ") != std::string::npos);
  const embergrad::Tensor table = table_of(place);
  BOOST_TEST(table.size(1) == static_cast<int64_t>(dim));
  BOOST_TEST(kept(table) == vectors().rows.size());
  BOOST_TEST(table[0].to_vector() == Row(dim, 0), boost::test_tools::per_element());

  // The same without vectors starts with the same numbers elsewhere, and ends with others.
  const Place plain;
  (void)plain.good("train --epochs 2 --weight-decay 0.01 --embedding-dim 6" + tiny);
  BOOST_TEST(kept(table_of(plain)) == 0U);
  for (int64_t id = 1; id < words().size(); ++id) {
    if (!vectors().rows.contains(id)) BOOST_TEST(table[id].to_vector() != table_of(plain)[id].to_vector());
  }
}

BOOST_AUTO_TEST_CASE(vectors_are_where_training_starts) {
  const WithVectors place;
  // Steps too small for float32 leave the vectors as they were; usual ones do not.
  (void)place.good("train --epochs 1 --vectors v --lr 1e-30" + data + "--hidden 5 --model m");
  BOOST_TEST(kept(table_of(place)) == vectors().rows.size());
  (void)place.good("train --epochs 1 --vectors v --force" + tiny);
  BOOST_TEST(kept(table_of(place)) == 0U);
  const std::string with_glove = read_bytes(place / "m");
  // The format makes no difference, nor does the size of vectors, said once more.
  write_bytes(place / "v", std::to_string(lines_of(vectors().text).size()) + " 6\n" + vectors().text);
  const Result again = place.good("train --epochs 1 --vectors v --embedding-dim 6 --force" + tiny);
  BOOST_TEST((read_bytes(place / "m") == with_glove));
  BOOST_TEST(again.out.find(" (word2vec text): ") != std::string::npos);
  // What was left out is said on a line of its own.
  write_bytes(place / "v", vectors().text + vectors().text);
  const Result twice = place.good("train --epochs 1 --vectors v --force" + tiny);
  BOOST_TEST(twice.out.find("\n            left out: ") != std::string::npos, twice.out);
  BOOST_TEST(place.good("train --epochs 1 --vectors v --quiet --force" + tiny).out.find("vectors") ==
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_without_the_file) {
  for (const std::string freeze : {"", "--freeze-vectors "}) {
    std::string command = "train --epochs 3 --dropout 0.2 --vectors v ";
    command += freeze + tiny;
    const WithVectors straight;
    (void)straight.good(command);
    for (const int stop : {1, 52, 60, 110}) {
      const WithVectors stopped;
      (void)stopped.good(command + "--stop-after " + std::to_string(stop));
      fs::remove(stopped / "v");
      (void)stopped.good(command + "--resume --stop-after " + std::to_string(stop + 1));
      (void)stopped.good(command + "--resume");
      BOOST_TEST((Files(stopped) == Files(straight)), freeze << "stopped after " << stop);
    }
    BOOST_TEST(kept(table_of(straight)) == (freeze.empty() ? 0U : vectors().rows.size()));
  }
}

BOOST_AUTO_TEST_CASE(another_run_is_refused) {
  const WithVectors place;
  const std::string command = "train --epochs 2" + tiny;
  (void)place.good(command + "--vectors v --freeze-vectors --stop-after 3");
  const Files before(place);
  fs::copy_file(place / "v", place / "w");
  const std::map<std::string, std::string> others = {
      {"--embedding-dim 6", "--vectors was \"v\" and is unset"},
      {"--vectors v", "--freeze-vectors was true and is unset"},
      {"--vectors w --freeze-vectors", "--vectors was \"v\" and is \"w\""},
      {"--vectors v --freeze-vectors --embedding-dim 7", "--embedding-dim was 6 and is 7"},
  };
  for (const auto& [options, reason] : others) {
    const Result refused = place.run(command + options + " --resume");
    BOOST_TEST_CONTEXT(options << ": " << refused.err) {
      BOOST_TEST(refused.status == 1);
      BOOST_TEST(is_one_line(refused.err));
      BOOST_TEST(refused.err.find(reason) != std::string::npos);
      BOOST_TEST((Files(place) == before));
    }
  }
}

BOOST_AUTO_TEST_CASE(frozen_rows_in_the_resume_file_are_checked) {
  const WithVectors place;
  const std::string command = "train --epochs 2 --vectors v --freeze-vectors" + tiny;
  (void)place.good(command + "--stop-after 3");
  const embergrad::Loaded file = embergrad::load(place / "m.resume");
  const auto with = [&](const std::function<void(embergrad::StateDict&)>& change, const std::string& reason) {
    embergrad::StateDict changed;
    for (const auto& [name, tensor] : file.tensors) {
      if (name != "own.frozen_rows") changed.set(name, tensor);
    }
    BOOST_TEST_REQUIRE(changed.size() + 1 == file.tensors.size());
    change(changed);
    embergrad::save(place / "m.resume", changed, embergrad::test::without_checksum(file).metadata);
    const Result got = place.run(command + "--resume");
    BOOST_TEST_CONTEXT(reason << ": " << got.err) {
      BOOST_TEST(got.status == 1);
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(got.err.find("m.resume: not a resume file of this program: " + reason) != std::string::npos);
    }
  };
  const auto rows = [](const embergrad::Tensor& tensor) {
    return [tensor](embergrad::StateDict& all) { all.set("own.frozen_rows", tensor); };
  };
  with([](embergrad::StateDict&) {}, "there are no frozen_rows");
  with(rows(embergrad::tensor({1.0, 2.0})), "its frozen_rows are no list of int64");
  with(rows(embergrad::tensor(int64_t{1})), "its frozen_rows are no list of int64");
  with(rows(embergrad::tensor({0, -1})), "its frozen_rows are beyond the vocabulary");
  with(rows(embergrad::tensor({1, 100000})), "its frozen_rows are beyond the vocabulary");
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  const WithVectors place;
  write_bytes(place / "bad", vectors().text + "x 1 2\n");
  write_bytes(place / "empty", "");
  const std::map<std::string, std::string> wrong = {
      {"--vectors v --embedding-dim 100", "--embedding-dim: 100, but the vectors in v have 6 numbers"},
      {"--vectors missing", "missing: can't be opened"},
      {"--vectors .", ".: can't be read"},
      {"--vectors empty", "empty: no vectors: the file is empty"},
      {"--vectors bad",
       "bad:" + std::to_string(lines_of(vectors().text).size() + 1) + ": 2 numbers behind 'x', where line 1 has 6"},
      {"--vectors v --log v", "--vectors: v is the same file as --log (v)"},
      {"--vectors m", "--vectors: m is the same file as --model (m)"},
      {"--vectors m.resume", "--vectors: m.resume is the same file as the resume file (m.resume)"},
  };
  for (const auto& [options, reason] : wrong) {
    std::string command = "train --epochs 1 ";
    command += options + tiny;
    const Result got = place.run(command);
    BOOST_TEST_CONTEXT(options << ": " << got.err) {
      BOOST_TEST(got.status == 1);
      BOOST_TEST(is_one_line(got.err));
      BOOST_TEST(got.out == "");
      BOOST_TEST(got.err.find(reason) != std::string::npos);
      BOOST_TEST(!fs::exists(place / "m"));
      BOOST_TEST(!fs::exists(place / "m.resume"));
    }
  }
  const Result alone = place.run("train --freeze-vectors" + tiny);
  BOOST_TEST(alone.status == 2);
  BOOST_TEST(alone.err.find("--freeze-vectors: needs --vectors") != std::string::npos, alone.err);
  BOOST_TEST((read_bytes(place / "v") == vectors().text));
}

BOOST_AUTO_TEST_SUITE_END()
