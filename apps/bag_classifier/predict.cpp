#include <fmt/format.h>

#include <common/command_line.hpp>
#include <common/files.hpp>
#include <embergrad/text/lines.hpp>
#include <iostream>
#include <iterator>

#include "commands.hpp"

namespace classify {

int predict(const PredictOptions& options) {
  namespace eg = embergrad;
  const eg::Device device = common::use_device(program_name, options.device);
  eg::set_num_threads(options.threads);
  Classifier classifier = load_classifier(options.model, device);
  const std::string bytes = common::read_input(options.file);
  eg::text::Lines lines(bytes, common::name_of_input(options.file));
  std::vector<std::string_view> texts;
  while (const auto line = lines.next()) texts.push_back(line->text);

  std::string out;
  for (const std::vector<Guess>& guesses : predict(classifier, texts, options.top)) {
    for (std::size_t i = 0; i < guesses.size(); ++i) {
      fmt::format_to(std::back_inserter(out), "{}{}\t{:.4f}", i == 0 ? "" : "\t",
                     common::shown(classifier.labels.name(guesses[i].label)), guesses[i].probability);
    }
    out += '\n';
  }
  std::cout << out << std::flush;
  if (!std::cout) throw eg::IoError("standard output: cannot write");
  return 0;
}

}  // namespace classify
