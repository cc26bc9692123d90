#include "mountd/trust_policy.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "format/appendix.h"
#include "format/error.h"
#include "format/hex.h"

namespace firn {
namespace {

constexpr size_t kMostAreas = 2;  // in the image and beside it

Error PolicyError(const ShownFile& file, const std::string& message, std::string remedy) {
  return Error(ErrorKind::kUntrusted, message, std::move(remedy)).WithPath(file.path);
}

void RequireOwner(const ShownFile& file) {
  const bool is_own = file.owner == file.user;
  if (!is_own && file.owner != 0) {
    throw PolicyError(file,
                      "policy owner takes images of root and of uid " + std::to_string(file.user) +
                          ", and this one belongs to uid " + std::to_string(file.owner),
                      "Use a copy of your own, or ask the site to install the image.");
  }
  // Users have groups of their own on many systems, which may write to what they make.
  const mode_t strangers = is_own && file.owner != 0 ? S_IWOTH : S_IWGRP | S_IWOTH;
  if ((file.mode & strangers) == 0) return;
  throw PolicyError(file, "policy owner takes no image that others may write to",
                    "Have its owner take that right away (chmod go-w).");
}

std::string WhatSigned(const TrustSettings& trust, const ShownSignatures& signatures) {
  if (!signatures.damage.empty()) return signatures.damage;
  std::string keys;
  for (const SignatureArea& area : signatures.areas) {
    for (const ImageSignature& signature : area.signatures) {
      if (trust.keys.Find(signature.key) != nullptr) {
        return "the signature of " + FormatKey(signature.key) + " is not by that key, or damaged";
      }
      keys += (keys.empty() ? "" : ", ") + FormatKey(signature.key);
    }
  }
  return keys.empty() ? "it has no signature" : "it is signed by " + keys;
}

}  // namespace

std::optional<ImagePolicy> ParseImagePolicy(std::string_view name) {
  if (name == "any") return ImagePolicy::kAny;
  if (name == "owner") return ImagePolicy::kOwner;
  if (name == "signed") return ImagePolicy::kSigned;
  return std::nullopt;
}

ShownSignatures FindSignatures(int fd, const std::string& path) {
  ShownSignatures found;
  const auto take = [&](auto&& read) {
    try {
      if (std::optional<SignatureArea> area = read()) found.areas.push_back(*std::move(area));
    } catch (const Error& error) {
      found.damage = error.message();
    }
  };
  take([&]() -> std::optional<SignatureArea> {
    const std::optional<Appendix> appendix = Appendix::Read(fd, path);
    return appendix ? ReadSignatures(fd, *appendix, path) : std::nullopt;
  });
  take([&] { return ReadDetachedSignatures(DetachedPathOf(path)); });
  return found;
}

void AddToMessage(const ShownSignatures& signatures, nlohmann::json& message) {
  nlohmann::json areas = nlohmann::json::array();
  for (const SignatureArea& area : signatures.areas) areas.push_back(ToHex(area.Encode()));
  message["signatures"] = std::move(areas);
  message["signature_damage"] = signatures.damage;
}

ShownSignatures SignaturesFrom(const nlohmann::json& message) {
  ShownSignatures shown;
  shown.damage = message.value("signature_damage", std::string());
  const nlohmann::json areas = message.value("signatures", nlohmann::json::array());
  if (areas.size() > kMostAreas) {
    throw Error(ErrorKind::kUsage, "expected at most " + std::to_string(kMostAreas) +
                                       " signature areas, found " + std::to_string(areas.size()));
  }
  for (const nlohmann::json& area : areas) {
    const auto bytes = FromHex(area.get<std::string>());
    if (!bytes) throw Error(ErrorKind::kUsage, "expected signatures in hexadecimal digits");
    shown.areas.push_back(SignatureArea::Decode(*bytes));
  }
  return shown;
}

std::optional<TrustedSigner> FindSigner(const TrustSettings& trust,
                                        const ShownSignatures& signatures) {
  for (const SignatureArea& area : signatures.areas) {
    if (const TrustedKey* const key = trust.keys.SignerOf(area, area.image_id)) {
      return TrustedSigner{key->named.key, key->named.name, area.image_id};
    }
  }
  return std::nullopt;
}

void RequireTrust(const TrustSettings& trust, const ShownFile& file,
                  const ShownSignatures& signatures, const std::optional<TrustedSigner>& signer) {
  if (trust.policy == ImagePolicy::kOwner) RequireOwner(file);
  if (trust.policy != ImagePolicy::kSigned || signer) return;
  throw PolicyError(file,
                    "policy signed takes images that a key of " + trust.directory +
                        " has signed; " + WhatSigned(trust, signatures),
                    "'firn sign' signs an image; the site says whose keys it trusts.");
}

}  // namespace firn
