#include <common/command_line.hpp>
#include <common/files.hpp>
#include <embergrad/report/progress.hpp>
#include <embergrad/text/conllu.hpp>
#include <embergrad/text/plain_text.hpp>
#include <iostream>
#include <sstream>

#include "commands.hpp"

namespace tagger {
namespace {

namespace eg = embergrad;

eg::text::Corpus read(const TagOptions& options) {
  std::string bytes = common::read_input(options.file);
  const std::string name = common::name_of_input(options.file);
  if (options.format == Format::text) return eg::text::parse_text(std::move(bytes), name);
  return eg::text::parse_conllu(std::move(bytes), name, {.purpose = eg::text::Purpose::tag});
}

}  // namespace

int tag(const TagOptions& options) {
  if (options.output) common::check_output(*options.output, options.force);
  const eg::Device device = common::use_device(program_name, options.device);
  eg::set_num_threads(options.threads);
  Tagger tagger = load_tagger(options.model, device);
  const eg::text::Corpus corpus = read(options);

  std::optional<eg::report::Progress> progress;
  if (!options.quiet) {
    progress.emplace(eg::report::ProgressOptions{.label = "tagged", .total = corpus.word_count(), .unit = "words"});
  }
  const std::vector<std::vector<std::string>> tags = tag(tagger, corpus, [&](int64_t words) {
    if (progress) progress->advance(words);
  });
  if (progress) progress->finish(common::count(corpus.size(), "sentence"));

  const auto write = options.format == Format::text ? eg::text::write_text : eg::text::write_conllu;
  if (options.output) {
    std::ostringstream text;
    write(text, corpus, tags);
    common::write_file(*options.output, text.view());
  } else {
    write(std::cout, corpus, tags);
    std::cout.flush();
    if (!std::cout) throw eg::IoError("standard output: cannot write");
  }
  return 0;
}

}  // namespace tagger
