#include <embergrad/error.hpp>
#include <embergrad/warning.hpp>

#include <atomic>
#include <cstdio>
#include <utility>

namespace embergrad {
namespace {
thread_local const char* layer = "";

void print_warning(const char* message) { std::fprintf(stderr, "embergrad: warning: %s\n", message); }
std::atomic<WarningHandler> warning_handler = print_warning;
}  // namespace

LayerScope::LayerScope(const char* name) : before_(layer) {
  if (*name != '\0') layer = name;
}
LayerScope::~LayerScope() { layer = before_; }

const char* current_layer() { return layer; }

WarningHandler set_warning_handler(WarningHandler handler) { return warning_handler.exchange(handler); }

void detail::warn(const char* message) {
  if (const WarningHandler handler = warning_handler.load()) handler(message);
}

std::string detail::in_layer(const std::string& message) { return *layer == '\0' ? message : layer + (": " + message); }

}  // namespace embergrad
