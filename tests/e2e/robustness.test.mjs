// SPDX-License-Identifier: Apache-2.0
// robustness.test.mjs - attacks.mjs over plain HTTP, at the gateway's own address.
import { describe } from 'node:test';
import { needs } from './agent.mjs';
import { attacks } from './attacks.mjs';

describe('attacks', needs(), () => attacks(false));
