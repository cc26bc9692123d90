#include "mountd/view_request.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "format/error.h"
#include "mountd/view.h"

namespace firn {
namespace {

using nlohmann::json;

constexpr size_t kLongestImagePath = 4096;

LeaseKind LeaseKindFrom(const std::string& text) {
  for (const LeaseKind kind : {LeaseKind::kProcess, LeaseKind::kMount, LeaseKind::kName}) {
    if (text == ToString(kind)) return kind;
  }
  throw Error(ErrorKind::kUsage,
              "expected a lease of kind process, mount or name, found '" + text + "'");
}

// A larger number would become another user's, root's among them.
uid_t OwnerFrom(const json& number) {
  if (const auto owner = number.get<uint64_t>(); owner <= std::numeric_limits<uid_t>::max()) {
    return static_cast<uid_t>(owner);
  }
  throw Error(ErrorKind::kUsage, "expected a user's number, found a larger one");
}

ShownImageRequest ShownImageFrom(const json& message) {
  ShownImageRequest image;
  image.path = message.value("path", std::string());
  if (image.path.size() > kLongestImagePath) {
    throw Error(ErrorKind::kUsage, "expected an image's path of at most " +
                                       std::to_string(kLongestImagePath) + " bytes, found one of " +
                                       std::to_string(image.path.size()));
  }
  if (message.contains("owner")) image.owner = OwnerFrom(message["owner"]);
  image.signatures = SignaturesFrom(message);
  return image;
}

}  // namespace

ViewRequest ViewRequestFrom(const json& message) {
  ViewRequest request;
  request.image = ShownImageFrom(message);
  request.foreign = message.value("foreign", request.foreign);
  request.prefetch = message.value("prefetch", request.prefetch);
  request.view = message.value("view", request.view);
  request.place = message.value("place", request.place);
  request.lease = LeaseKindFrom(message.value("lease", std::string("process")));
  request.lease_name = message.value("name", std::string());
  const auto below = message.find("below");
  if (below == message.end()) return request;
  if (!below->is_array() || below->size() > kMostBases) {
    throw Error(ErrorKind::kUsage, "expected at most " + std::to_string(kMostBases) +
                                       " images below, found " + std::to_string(below->size()));
  }
  for (const json& image : *below) request.below.push_back(ShownImageFrom(image));
  return request;
}

}  // namespace firn
