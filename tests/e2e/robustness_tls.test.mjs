// SPDX-License-Identifier: Apache-2.0
// robustness_tls.test.mjs - attacks.mjs once more with TLS on both sides: the attacker
// dials the https:// server that is registered and is answered in its place, and the
// lying server is dialled by https.
import { describe } from 'node:test';
import { needs } from './agent.mjs';
import { attacks } from './attacks.mjs';

describe('attacks within TLS', needs(), () => attacks(true));
