#include <fmt/format.h>

#include <common/command_line.hpp>
#include <common/files.hpp>
#include <cstdio>
#include <embergrad/report/progress.hpp>
#include <embergrad/text/conllu.hpp>
#include <iostream>
#include <set>
#include <string_view>

#include "commands.hpp"

namespace tagger {

int eval(const EvalOptions& options) {
  namespace eg = embergrad;
  const eg::Device device = common::use_device(program_name, options.device);
  eg::set_num_threads(options.threads);
  Tagger tagger = load_tagger(options.model, device);
  const eg::text::Corpus corpus =
      eg::text::parse_conllu(common::read_input(options.file), common::name_of_input(options.file));

  std::set<std::string_view> strange;
  for (const eg::text::Word& word : corpus.words()) {
    if (!tagger.tags.contains(word.tag)) strange.insert(word.tag);
  }
  if (!strange.empty()) {
    fmt::print(stderr, "{}: {}: {} that the model never saw, {} for example: always wrong\n", program_name,
               common::shown(common::name_of_input(options.file)),
               common::count(static_cast<int64_t>(strange.size()), "tag"),
               common::shown(strange.begin()->substr(0, 40)));
  }

  eg::report::Progress progress({.label = "evaluated", .total = corpus.word_count(), .unit = "words"});
  const eg::text::TaggingReport report = evaluate(tagger, corpus, [&](int64_t words) { progress.advance(words); });
  progress.finish(common::count(corpus.size(), "sentence"));
  std::cout << report << std::flush;
  if (!std::cout) throw eg::IoError("standard output: cannot write");
  return 0;
}

}  // namespace tagger
