#include "resume.hpp"

#include <fmt/format.h>

#include <cmath>
#include <common/notes.hpp>
#include <common/training.hpp>
#include <embergrad/error.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "commands.hpp"
#include "untrusted_json.hpp"

namespace tagger {
namespace {

namespace eg = embergrad;
using common::Hash;
using common::Notes;
using common::shown_value;
using nlohmann::json;

/// "420 sentences, 3012 words", of a `data_json`.
std::string sizes_in(const json& data) {
  const auto size = [&](const char* what) {
    return data.is_object() && data.contains(what) ? shown_value(data.at(what)) : std::string("?");
  };
  return fmt::format("{} sentences, {} words", size("sentences"), size("words"));
}

}  // namespace

std::string data_json(const eg::text::Corpus& corpus) {
  Hash hash;
  for (const eg::text::Sentence sentence : corpus) {
    for (const eg::text::Word& word : sentence) {
      hash.add(word.form);
      hash.add(word.tag);
    }
    hash.add("");
  }
  return json{{"sentences", corpus.size()}, {"words", corpus.word_count()}, {"hash", hash.text()}}.dump();
}

eg::Metadata resume_notes(const Origin& origin, const Position& position) {
  return {{"program", program_name},
          {"options", origin.options},
          {"data", origin.data},
          {"position", json{{"epoch", position.epoch},
                            {"batches", position.batches},
                            {"steps", position.steps},
                            {"loss", position.loss},
                            {"words", position.words},
                            {"best_epoch", position.best_epoch},
                            {"best_correct", position.best_correct},
                            {"best_accuracy", position.best_accuracy}}
                           .dump()}};
}

std::optional<int64_t> noted_embedding_dim(const eg::optim::Checkpoint& checkpoint) {
  const auto options = checkpoint.metadata().find("options");
  if (options == checkpoint.metadata().end()) return std::nullopt;
  const json all = eg::detail::parse_untrusted_json(options->second);
  const json dim = all.is_object() ? all.value("--embedding-dim", json()) : json();
  if (!dim.is_number_integer() || dim < 1 || dim > NetworkOptions::most_width) return std::nullopt;
  return dim.get<int64_t>();
}

Position read_position(const eg::optim::Checkpoint& checkpoint, const std::string& path, const Origin& origin,
                       int64_t batches) {
  const Notes notes(checkpoint.metadata(), path, program_name);
  std::vector<std::string> differences = common::differences(notes.object("options"), json::parse(origin.options));
  const json data_then = notes.object("data");
  const json data_now = json::parse(origin.data);
  for (const auto& [part, value] : data_now.items()) {
    const json before = data_then.value(part, json());
    if (before == value) continue;
    differences.push_back(
        fmt::format("the {} sentences are others: {} then, {} now", part, sizes_in(before), sizes_in(value)));
  }
  common::check_same_run(path, differences);

  const json all = notes.object("position");
  const auto whole = [&](const char* name, int64_t least, int64_t most) { return notes.whole(all, name, least, most); };
  const auto number = [&](const char* name) {
    const json value = all.value(name, json());
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      notes.refuse(fmt::format("its position has {} {}", name, shown_value(value)));
    }
    return value.get<double>();
  };
  constexpr int64_t any = std::numeric_limits<int64_t>::max() - 1;
  Position position;
  position.epoch = whole("epoch", 1, any);
  position.batches = whole("batches", 0, batches);
  position.steps = whole("steps", 0, any);
  position.loss = number("loss");
  position.words = whole("words", 0, any);
  position.best_epoch = whole("best_epoch", 0, position.epoch - 1);
  position.best_correct = whole("best_correct", -1, any);
  position.best_accuracy = number("best_accuracy");
  return position;
}

std::string stopping_state(const Position& position, int64_t patience) {
  const int64_t waited = position.epoch - 1 - position.best_epoch;
  return json{{"best", position.best_epoch > 0 ? json(static_cast<double>(position.best_correct)) : json()},
              {"best_step", position.best_epoch},
              // An epoch that is under way is brought to its end.
              {"stopped", patience > 0 && waited >= patience && position.batches == 0},
              {"waited", waited}}
      .dump();
}

}  // namespace tagger
