#pragma once

#import <Foundation/Foundation.h>

#include "core/error.h"

namespace weightnorm::metal {

// What a command buffer's error means, with Metal's own words at the end. ERR_DEVICE_LOST: no further work will run.
core::Error commandBufferError(NSError* error);

std::string describe(NSError* error);

}  // namespace weightnorm::metal
