#include "cli/image_trust.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/text.h"
#include "format/error.h"

namespace firn {
namespace {

void Judge(const SignatureArea& area, const std::string& place, const Digest& id,
           const TrustedKeys* trusted, ImageTrust& trust) {
  const bool is_of_this = area.image_id == id;
  if (!is_of_this) {
    trust.others.push_back(place + ": the signatures are over another image, " +
                           FormatImageId(area.image_id));
  }
  for (const ImageSignature& signature : area.signatures) {
    ImageTrust::Signature judged{.place = place, .key = signature.key};
    const bool fits = area.IsRight(signature);
    judged.is_right = is_of_this && fits;
    if (!fits) {
      trust.damages.push_back(place + ": the signature of " + FormatKey(signature.key) +
                              " is not by that key, or damaged");
    }
    if (const TrustedKey* key = trusted != nullptr ? trusted->Find(signature.key) : nullptr) {
      judged.name = key->named.name;
      judged.trusted_by = key->path;
    }
    trust.signatures.push_back(std::move(judged));
  }
}

}  // namespace

bool ImageTrust::is_trusted() const {
  return std::ranges::any_of(signatures, [](const Signature& signature) {
    return signature.is_right && !signature.trusted_by.empty();
  });
}

std::string ImageTrust::Reason(const std::string& directory) const {
  if (!damages.empty()) return damages.front();
  if (!others.empty()) return others.front();
  if (signatures.empty()) return "it has no signature";
  std::string keys;
  for (const Signature& signature : signatures) {
    keys += (keys.empty() ? "" : ", ") + FormatKey(signature.key);
  }
  return "it is signed by " + keys + ", of which none is in " + directory;
}

ImageTrust JudgeSignatures(const std::string& image, const Digest& id,
                           const std::optional<SignatureArea>& in_image,
                           const std::string& detached, const TrustedKeys* trusted) {
  ImageTrust trust;
  if (in_image) Judge(*in_image, image, id, trusted, trust);
  try {
    if (const auto beside = ReadDetachedSignatures(detached)) {
      Judge(*beside, detached, id, trusted, trust);
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kDamaged) throw;
    trust.damages.push_back(detached + ": " + error.message());
  }
  return trust;
}

ImageTrust ReadImageSignatures(int fd, const Appendix& appendix) {
  ImageTrust trust;
  const auto take = [&](const std::string& place, const auto& read) {
    try {
      if (const std::optional<SignatureArea> area = read()) {
        Judge(*area, place, appendix.id(), nullptr, trust);
      }
    } catch (const Error& error) {
      const bool is_of_file = error.kind() == ErrorKind::kDamaged ||
                              error.kind() == ErrorKind::kUnsupported ||
                              error.kind() == ErrorKind::kInput;
      if (!is_of_file) throw;
      trust.damages.push_back(place + ": " + error.message());
    }
  };
  const std::string& image = appendix.path();
  const std::string detached = DetachedPathOf(image);
  take(image, [&] { return ReadSignatures(fd, appendix, image); });
  take(detached, [&] { return ReadDetachedSignatures(detached); });
  return trust;
}

nlohmann::ordered_json SignaturesToJson(const ImageTrust& trust) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const ImageTrust::Signature& signature : trust.signatures) {
    nlohmann::ordered_json entry = {{"place", signature.place},
                                    {"key", FormatKey(signature.key)},
                                    {"right", signature.is_right},
                                    {"trusted", !signature.trusted_by.empty()}};
    if (!signature.trusted_by.empty()) {
      entry["name"] = signature.name;
      entry["trusted_by"] = signature.trusted_by;
    }
    json.push_back(std::move(entry));
  }
  return json;
}

void PrintSignatures(const ImageTrust& trust) {
  for (const ImageTrust::Signature& signature : trust.signatures) {
    if (!signature.is_right) continue;
    std::cout << signature.place << ": signed by " << FormatKey(signature.key);
    if (!signature.trusted_by.empty()) {
      std::cout << ", which is trusted: " << Printable(signature.name) << " ("
                << signature.trusted_by << ')';
    }
    std::cout << '\n';
  }
}

}  // namespace firn
