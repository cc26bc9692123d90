#include "mountd/access_recorder.h"

#include <linux/fuse.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "format/error.h"

namespace firn {
namespace {

constexpr size_t kMostEvents = 1'000'000;

// Paths of the nodes of an image that lookups have led to.
class NodePaths {
 public:
  NodePaths(const SlotTable& slots, AttachedImage& image) : slots_(slots), image_(image) {
    paths_.emplace(slots.OwnNodeOf(image, image.image().root()), ".");
  }

  // Nothing for a node that nobody looked up, and for what lies above the image.
  std::optional<std::string> PathOf(NodeId node) const {
    const auto found = paths_.find(node);
    if (found == paths_.end()) return std::nullopt;
    return found->second;
  }

  // The path of `name` in the directory, and whether it is there; a node that is found gets it.
  struct Found {
    std::string path;
    bool exists = false;
  };
  std::optional<Found> LookUp(NodeId directory, const std::string& name) {
    const std::optional<std::string> above = PathOf(directory);
    if (!above) return std::nullopt;
    Found found{*above == "." ? name : *above + "/" + name};
    std::optional<Inode> inode;
    try {
      inode = image_.image().LookupInode(slots_.Locate(directory).GetInode(), name);
    } catch (const Error&) {
      return std::nullopt;  // the program got the error, and the log its line
    }
    found.exists = inode.has_value();
    if (inode) paths_.emplace(slots_.NodeOf(image_, *inode), found.path);
    return found;
  }

 private:
  const SlotTable& slots_;
  AttachedImage& image_;
  std::map<NodeId, std::string> paths_;
};

template <typename T>
bool Load(ByteSpan bytes, size_t at, T& value) {
  if (bytes.size() < at + sizeof value) return false;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return true;
}

bool Adjoin(const ProfileEntry& a, const ProfileEntry& b) {
  return a.action == ProfileAction::kRead && a.path == b.path &&
         (a.offset + a.length == b.offset || b.offset + b.length == a.offset);
}

// The kernel reads a file in requests of its read-ahead's size, several of which are under way at
// once and may arrive in any order: what adjoins one of the latest reads becomes part of it.
void AddRead(ProfileEntry read, std::vector<ProfileEntry>& entries) {
  constexpr size_t kLookBack = 16;
  const size_t first = entries.size() - std::min(entries.size(), kLookBack);
  size_t place = entries.size();
  for (size_t at = first; at < entries.size();) {
    if (!Adjoin(entries[at], read)) {
      ++at;
      continue;
    }
    read.offset = std::min(read.offset, entries[at].offset);
    read.length += entries[at].length;
    entries.erase(entries.begin() + static_cast<ptrdiff_t>(at));
    place = std::min(place, at);
    at = first;  // what it has become may adjoin another
  }
  place = std::min(place, entries.size());
  entries.insert(entries.begin() + static_cast<ptrdiff_t>(place), std::move(read));
}

}  // namespace

void AccessRecorder::Observe(ByteSpan request) {
  fuse_in_header header;
  if (!Load(request, 0, header)) return;
  Event event{.action = ProfileAction::kLookup, .node = header.nodeid, .name = {}};
  if (header.opcode == FUSE_LOOKUP) {
    const char* const name = reinterpret_cast<const char*>(request.data()) + sizeof header;
    event.name.assign(name, strnlen(name, request.size() - sizeof header));
  } else if (header.opcode == FUSE_READDIR) {
    event.action = ProfileAction::kList;
  } else if (header.opcode == FUSE_READ) {
    fuse_read_in read;
    if (!Load(request, sizeof header, read)) return;
    event.action = ProfileAction::kRead;
    event.offset = read.offset;
    event.length = read.size;
  } else {
    return;
  }
  const std::lock_guard lock(mutex_);
  if (events_.size() < kMostEvents) events_.push_back(std::move(event));
}

Profile AccessRecorder::MakeProfile(const Tree& tree, SlotNumber slot) const {
  const std::shared_ptr<const SlotTable> slots = tree.Now();
  const SlotTable::Slot* const found_slot = slots->Find(slot);
  if (found_slot == nullptr) {
    throw Error(ErrorKind::kInternal, "expected an image in slot " + SlotName(slot));
  }
  const std::lock_guard lock(mutex_);
  NodePaths paths(*slots, *found_slot->image);
  std::vector<ProfileEntry> entries;
  for (const Event& event : events_) {
    if (slots->IsAboveImages(event.node)) continue;
    ProfileEntry entry;
    entry.action = event.action;
    if (event.action == ProfileAction::kLookup) {
      const auto found = paths.LookUp(event.node, event.name);
      if (!found) continue;
      entry.path = found->path;
      if (!found->exists) entry.action = ProfileAction::kMiss;
    } else {
      const auto path = paths.PathOf(event.node);
      if (!path) continue;
      entry.path = *path;
    }
    if (event.action == ProfileAction::kRead) {
      // Requests are of whole pages, also behind the end of a file.
      const uint64_t size = slots->Locate(event.node).GetInode().size;
      if (event.offset >= size) continue;
      entry.offset = event.offset;
      entry.length = std::min(event.length, size - event.offset);
      AddRead(std::move(entry), entries);
    } else {
      entries.push_back(std::move(entry));
    }
  }
  const Profile recorded(std::move(entries));
  return Profile::Merge({&recorded, 1});
}

}  // namespace firn
