#include <embergrad/error.hpp>
#include <embergrad/optim/checkpoint.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>
#include <vector>

#include "crc32.hpp"
#include "views.hpp"

namespace embergrad::optim {
namespace {

constexpr const char* reserved = "embergrad.";
constexpr const char* format_key = "embergrad.format";
constexpr const char* format_name = "embergrad-checkpoint";
constexpr const char* version_key = "embergrad.version";
constexpr const char* format_version = "2";
constexpr const char* version_without_checksum = "1";
constexpr const char* checksum_key = "embergrad.crc32";
constexpr const char* default_name = "default";

// Text from a file, fit for a message.
std::string shown(std::string_view text) {
  constexpr std::size_t longest = 60;
  std::string fit(text.substr(0, longest));
  for (char& c : fit) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return fit + (text.size() > longest ? "…" : "");
}

void check_name(const char* kind, const std::string& name) {
  if (name.empty() || name.find('.') != std::string::npos) {
    throw ValueError(
        fmt::format("checkpoint: a name of {}s must not be empty or hold a dot, but is \"{}\"", kind, shown(name)));
  }
}

template <class Part>
void check_parts(const char* kind, const std::map<std::string, Part*>& parts) {
  for (const auto& [name, part] : parts) {
    check_name(kind, name);
    if (part == nullptr) throw ValueError(fmt::format("checkpoint: {} {} is null", kind, name));
  }
}

// The user's generators and the default one.
std::map<std::string, Generator*> all_generators(const CheckpointParts& parts) {
  std::map<std::string, Generator*> all = parts.generators;
  const auto [place, added] = all.emplace(default_name, &default_generator());
  if (place->second != &default_generator()) {
    throw ValueError("checkpoint: the name \"default\" belongs to default_generator(), not to another generator");
  }
  return all;
}

void check(const CheckpointParts& parts) {
  check_parts("optimizer", parts.optimizers);
  check_parts("scheduler", parts.schedulers);
  check_parts("generator", parts.generators);
}

// What stands before and behind the first dot.
std::pair<std::string, std::string> split(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {std::string(name), ""};
  return {std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
}

// Names that only one of the two has.
template <class Wanted, class There>
void compare_names(std::vector<std::string>& problems, const char* kind, const Wanted& wanted, const There& there) {
  for (const auto& entry : wanted) {
    if (!there.contains(entry.first)) problems.push_back(fmt::format("there is no {} {} in it", kind, entry.first));
  }
  for (const auto& entry : there) {
    if (!wanted.contains(entry.first)) {
      problems.push_back(fmt::format("it has a {} {} that the program lacks", kind, shown(entry.first)));
    }
  }
}

// Of all notes and tensors by name, so that it does not matter how they are laid out in the file, or which are tied.
std::string checksum(const Metadata& metadata, const StateDict& tensors) {
  Crc32 sum;
  for (const auto& [key, value] : metadata) {
    if (key == checksum_key) continue;
    sum.add_text(key);
    sum.add_text(value);
  }
  std::vector<const StateDict::Entry*> order;
  order.reserve(tensors.size());
  for (const StateDict::Entry& entry : tensors) {
    if (entry.second.defined()) order.push_back(&entry);
  }
  std::ranges::sort(order, {}, [](const StateDict::Entry* entry) -> const std::string& { return entry->first; });
  for (const StateDict::Entry* entry : order) {
    const Tensor host = entry->second.to(Device::cpu());
    sum.add_text(entry->first);
    sum.add_text(name_of(host.dtype()));
    sum.add_text(host.shape().to_string());
    sum.add(embergrad::detail::view(host).data, static_cast<std::size_t>(host.numel()) * item_size(host.dtype()));
  }
  return fmt::format("{:08x}", sum.value());
}

// Runs a check whose errors are to name the file and the part.
template <class Check>
auto naming(const std::string& where, const Check& check_part) {
  try {
    return check_part();
  } catch (const ShapeError& error) {
    throw ShapeError(fmt::format("{}: {}", where, error.what()));
  } catch (const ValueError& error) {
    throw ValueError(fmt::format("{}: {}", where, error.what()));
  }
}

}  // namespace

void save_checkpoint(const std::string& path, const CheckpointParts& parts, const Metadata& metadata,
                     const StateDict& own) {
  check(parts);
  Metadata notes = metadata;
  for (const auto& [key, value] : metadata) {
    if (key.starts_with(reserved)) {
      throw ValueError(fmt::format("checkpoint: the metadata key {} is reserved", shown(key)));
    }
  }
  notes[format_key] = format_name;
  notes[version_key] = format_version;

  StateDict all;
  const auto add = [&](const std::string& prefix, const StateDict& state) {
    for (const auto& [key, value] : state) all.set(prefix + key, value);
  };
  add("model.", parts.model);
  for (const auto& [name, optimizer] : parts.optimizers) {
    add(fmt::format("optimizer.{}.", name), optimizer->state_dict(parts.model));
  }
  for (const auto& [name, scheduler] : parts.schedulers) {
    add(fmt::format("scheduler.{}.", name), scheduler->state_dict());
  }
  for (const auto& [name, generator] : all_generators(parts)) {
    all.set("generator." + name, tensor(std::vector<std::int64_t>{std::bit_cast<std::int64_t>(generator->seed()),
                                                                  std::bit_cast<std::int64_t>(generator->tick())}));
  }
  add("own.", own);
  notes[checksum_key] = checksum(notes, all);
  save(path, all, notes);
}

Checkpoint::Checkpoint(const std::string& path) : path_(path) {
  Loaded file = load(path);
  const auto refuse = [&](const std::string& reason) { throw FormatError(fmt::format("{}: {}", path, reason)); };
  const auto note = [&](const char* key) {
    const auto place = file.metadata.find(key);
    return place == file.metadata.end() ? std::string() : place->second;
  };
  const std::string format = note(format_key);
  if (format.empty()) refuse("not a checkpoint: its metadata have no embergrad.format");
  if (format != format_name) refuse(fmt::format("not a checkpoint: its format is {}", shown(format)));
  const std::string version = note(version_key);
  if (version != format_version && version != version_without_checksum) {
    refuse(fmt::format("a checkpoint of version {}, but this program reads versions {} and {}", shown(version),
                       version_without_checksum, format_version));
  }
  const bool has_checksum = file.metadata.contains(checksum_key);
  if (!has_checksum && version != version_without_checksum) {
    refuse(fmt::format("the contents are damaged: the checksum {} is missing", checksum_key));
  }
  if (has_checksum && note(checksum_key) != checksum(file.metadata, file.tensors)) {
    refuse(fmt::format("the contents are damaged: their checksum is {}, but {} says {}",
                       checksum(file.metadata, file.tensors), checksum_key, shown(note(checksum_key))));
  }
  for (auto& [key, value] : file.metadata) {
    if (!key.starts_with(reserved)) metadata_.emplace(key, std::move(value));
  }
  for (const auto& [key, value] : file.tensors) {
    const auto [kind, name] = split(key);
    const auto [part, rest] = split(name);
    if (kind == "model") {
      model_.set(name, value);
    } else if (kind == "own") {
      own_.set(name, value);
    } else if (kind == "optimizer") {
      optimizers_[part].set(rest, value);
    } else if (kind == "scheduler") {
      schedulers_[part].set(rest, value);
    } else if (kind == "generator") {
      if (value.dtype() != DType::int64 || value.numel() != 2) {
        refuse(fmt::format("generator {} must be two int64: seed and tick", shown(name)));
      }
      const auto state = value.to_vector<std::int64_t>();
      generators_[name].set_state(std::bit_cast<std::uint64_t>(state[0]), std::bit_cast<std::uint64_t>(state[1]));
    } else {
      refuse(fmt::format("a checkpoint has no tensor {}", shown(key)));
    }
  }
}

void Checkpoint::restore(const CheckpointParts& parts) const {
  check(parts);
  const std::map<std::string, Generator*> generators = all_generators(parts);
  std::vector<std::string> problems;
  compare_names(problems, "optimizer", parts.optimizers, optimizers_);
  compare_names(problems, "scheduler", parts.schedulers, schedulers_);
  compare_names(problems, "generator", generators, generators_);
  if (!problems.empty()) throw ValueError(fmt::format("{}: {}", path_, fmt::join(problems, "; ")));

  std::vector<Optimizer::Restored> optimizers;
  for (const auto& entry : parts.optimizers) {
    const Optimizer& optimizer = *entry.second;
    optimizers.push_back(naming(fmt::format("{}: optimizer {}", path_, entry.first), [&] {
      return optimizer.check_state(optimizers_.at(entry.first), optimizer.names_in(parts.model));
    }));
  }
  std::vector<std::vector<LRScheduler::Value>> schedulers;
  for (const auto& entry : parts.schedulers) {
    schedulers.push_back(naming(fmt::format("{}: scheduler {}", path_, entry.first),
                                [&] { return entry.second->check_state(schedulers_.at(entry.first)); }));
  }
  naming(fmt::format("{}: model", path_), [&] {
    load_into(parts.model, model_);
    return true;
  });

  // From here on nothing fails.
  std::size_t next = 0;
  for (const auto& entry : parts.optimizers) entry.second->restore(std::move(optimizers[next++]));
  next = 0;
  for (const auto& entry : parts.schedulers) entry.second->restore(schedulers[next++]);
  for (const auto& [name, generator] : generators) *generator = generators_.at(name);
}

Checkpoint load_checkpoint(const std::string& path, const CheckpointParts& parts) {
  Checkpoint checkpoint(path);
  checkpoint.restore(parts);
  return checkpoint;
}

}  // namespace embergrad::optim
