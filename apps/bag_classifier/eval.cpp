#include <fmt/format.h>

#include <common/command_line.hpp>
#include <common/files.hpp>
#include <cstdio>
#include <embergrad/report/progress.hpp>
#include <embergrad/text/csv.hpp>
#include <iostream>
#include <set>
#include <string_view>

#include "commands.hpp"

namespace classify {

int eval(const EvalOptions& options) {
  namespace eg = embergrad;
  const eg::Device device = common::use_device(program_name, options.device);
  eg::set_num_threads(options.threads);
  Classifier classifier = load_classifier(options.model, device);
  const eg::text::LabelledTexts data =
      eg::text::parse_labelled_csv(common::read_input(options.file), common::name_of_input(options.file),
                                   {.text = options.columns.text, .label = options.columns.label});

  std::set<std::string_view> strange;
  for (const std::string_view label : data.labels) {
    if (!classifier.labels.contains(label)) strange.insert(label);
  }
  if (!strange.empty()) {
    fmt::print(stderr, "{}: {}: {} that the model never saw, {} for example: always wrong\n", program_name,
               common::shown(common::name_of_input(options.file)),
               common::count(static_cast<int64_t>(strange.size()), "label"),
               common::shown(strange.begin()->substr(0, 40)));
  }

  eg::report::Progress progress({.label = "evaluated", .total = data.size(), .unit = "texts"});
  const eg::text::ClassificationReport report =
      evaluate(classifier, data.texts, data.labels, [&](int64_t texts) { progress.advance(texts); });
  progress.finish();
  std::cout << report << std::flush;
  if (!std::cout) throw eg::IoError("standard output: cannot write");
  return 0;
}

}  // namespace classify
