#pragma once
#import <MetalPerformanceShaders/MetalPerformanceShaders.h>

NSUInteger elementSize(MPSDataType type);
