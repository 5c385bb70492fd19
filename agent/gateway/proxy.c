/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy.c - see proxy.h. Trust: the proxy is of the network: it is told host and
 * port of https servers and nothing else of theirs, and of what it says only
 * the status counts. The gate lets us reach its addresses alone.
 */
#include "proxy.h"

#include <arpa/inet.h>

bool zg_proxy_apply(CURL *e, const struct zg_live *l, uint32_t nth)
{
	const struct zg_proxy *p = &l->snap.settings->proxy;
	const struct zg_slice shown = zg_secrets_find(&l->secrets, ZG_SK_PROXY, ZG_SLICE(""), 0);
	char url[INET6_ADDRSTRLEN + 32], ip[INET6_ADDRSTRLEN];
	char login[ZG_SECRET_LINE_BYTES + 1], *password;
	bool ok;

	if (nth >= p->address_count)
		return false;
	zg_addr_text(ip, sizeof(ip), p->addr[nth]);
	(void)snprintf(url, sizeof(url), strchr(ip, ':') ? "http://[%s]:%u" : "http://%s:%u", ip,
		       p->port);
	ok = curl_easy_setopt(e, CURLOPT_PROXY, url) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_NOPROXY, "") == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_PROXYAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_CONNECT_TO, NULL) == CURLE_OK;
	if (!ok || !shown.ptr)
		return ok;
	if (!zg_str_cut(login, sizeof(login), shown))
		return false;
	password = strchr(login, ':');
	if (password)
		*password++ = '\0';
	ok = password && curl_easy_setopt(e, CURLOPT_PROXYUSERNAME, login) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_PROXYPASSWORD, password) == CURLE_OK;
	explicit_bzero(login, sizeof(login));
	return ok;
}

bool zg_proxy_clear(CURL *e)
{
	return curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_NOPROXY, "*") == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PROXYUSERNAME, NULL) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_PROXYPASSWORD, NULL) == CURLE_OK;
}

bool zg_proxy_failure(CURL *easy, CURLcode code, char *out, size_t size)
{
	long status = 0;
	const char *what = "closed the connection before there was a way through it";

	(void)curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status);
	switch ((int)code) {
	case CURLE_COULDNT_CONNECT:
		what = "refused the connection or did not take it in time";
		break;
	case CURLE_OPERATION_TIMEDOUT:
		what = "did not answer in time";
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PROXY:
	case CURLE_WEIRD_SERVER_REPLY:
		break;
	default:
		return false;
	}
	if (status == 407)
		(void)snprintf(out, size,
			       "cannot be reached: the proxy wants other credentials than it was "
			       "shown (status 407)");
	else if (status && (status < 200 || status > 299))
		(void)snprintf(out, size, "cannot be reached: the proxy refused with status %ld",
			       status);
	else
		(void)snprintf(out, size, "cannot be reached: the proxy %s", what);
	return true;
}
