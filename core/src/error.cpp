#include <embergrad/error.hpp>

#include <utility>

namespace embergrad {
namespace {
thread_local const char* layer = "";
}  // namespace

LayerScope::LayerScope(const char* name) : before_(layer) {
  if (*name != '\0') layer = name;
}
LayerScope::~LayerScope() { layer = before_; }

const char* current_layer() { return layer; }

std::string detail::in_layer(const std::string& message) { return *layer == '\0' ? message : layer + (": " + message); }

}  // namespace embergrad
