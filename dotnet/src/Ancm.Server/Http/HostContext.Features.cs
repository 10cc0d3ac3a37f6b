using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Features.Authentication;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Ancm.Server;

/// <summary>
/// The feature collection. Well-known types have a place in a table; the context itself is the
/// feature wherever it implements the interface and nobody has put another one there.
/// </summary>
internal abstract partial class HostContext : IFeatureCollection, IEndpointFeature, IRouteValuesFeature
{
    // Most wanted first.
    private static readonly Type[] s_known =
    [
        typeof(IHttpRequestFeature),
        typeof(IHttpResponseFeature),
        typeof(IHttpResponseBodyFeature),
        typeof(IServiceProvidersFeature),
        typeof(IEndpointFeature),
        typeof(IRouteValuesFeature),
        typeof(IHttpActivityFeature),
        typeof(IHttpMetricsTagsFeature),
        typeof(IHttpRequestLifetimeFeature),
        typeof(IRequestBodyPipeFeature),
        typeof(IHttpRequestIdentifierFeature),
        typeof(IHttpConnectionFeature),
        typeof(IItemsFeature),
        typeof(IHttpAuthenticationFeature),
        typeof(IQueryFeature),
        typeof(IFormFeature),
        typeof(IHttpRequestBodyDetectionFeature),
        typeof(IHttpMaxRequestBodySizeFeature),
        typeof(IHttpBodyControlFeature),
        typeof(IHttpRequestTrailersFeature),
        typeof(IHttpUpgradeFeature),
        typeof(IHttpWebSocketFeature),
        typeof(ISessionFeature),
        typeof(IResponseCookiesFeature),
        typeof(IServerVariablesFeature),
        typeof(IBadRequestExceptionFeature),
        typeof(IPersistentStateFeature),
        typeof(IConnectionLifetimeNotificationFeature),
        typeof(IConnectionIdFeature),
        typeof(IConnectionItemsFeature),
        typeof(IConnectionEndPointFeature),
        typeof(IConnectionLifetimeFeature),
        typeof(IMemoryPoolFeature),
        typeof(IHttpRequestTimeoutFeature),
        typeof(IHttpMinRequestBodyDataRateFeature),
        typeof(IHttpMinResponseDataRateFeature),
        typeof(ITlsConnectionFeature),
    ];

    private static readonly ulong s_own = OwnFeatures();
    private static readonly ulong s_upgrade = 1UL << Array.IndexOf(s_known, typeof(IHttpUpgradeFeature));
    private static readonly ulong s_tls = 1UL << Array.IndexOf(s_known, typeof(ITlsConnectionFeature));

    private readonly object?[] _features = new object?[s_known.Length];
    private ulong _replaced;
    private List<KeyValuePair<Type, object>>? _extras;
    private RouteValueDictionary? _routeValues;
    private int _revision;

    public bool IsReadOnly => false;

    // HttpContext caches features by revision, so a new request must look like a change.
    public int Revision => _revision;

    Endpoint? IEndpointFeature.Endpoint { get; set; }

    RouteValueDictionary IRouteValuesFeature.RouteValues
    {
        get => _routeValues ??= new RouteValueDictionary();
        set => _routeValues = value;
    }

    public object? this[Type key]
    {
        get
        {
            ArgumentNullException.ThrowIfNull(key);
            return Find(key);
        }

        set
        {
            ArgumentNullException.ThrowIfNull(key);
            Replace(key, value);
        }
    }

    public TFeature? Get<TFeature>() => (TFeature?)Find(typeof(TFeature));

    public void Set<TFeature>(TFeature? instance) => Replace(typeof(TFeature), instance);

    public IEnumerator<KeyValuePair<Type, object>> GetEnumerator()
    {
        foreach (var type in s_known)
        {
            if (Find(type) is { } feature)
            {
                yield return new(type, feature);
            }
        }

        foreach (var extra in _extras ?? [])
        {
            yield return extra;
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private static ulong OwnFeatures()
    {
        Debug.Assert(s_known.Length <= 64, "One bit per known feature.");
        var own = 0UL;
        for (var index = 0; index < s_known.Length; index++)
        {
            if (s_known[index].IsAssignableFrom(typeof(HostContext)))
            {
                own |= 1UL << index;
            }
        }

        return own;
    }

    private static int IndexOf(Type key)
    {
        var known = s_known;
        for (var index = 0; index < known.Length; index++)
        {
            if (ReferenceEquals(known[index], key))
            {
                return index;
            }
        }

        return -1;
    }

    private object? Find(Type key)
    {
        var index = IndexOf(key);
        if (index < 0)
        {
            return FindExtra(key);
        }

        var bit = 1UL << index;
        return (_replaced & bit) != 0 ? _features[index]
            : (s_own & bit) != 0 ? this
            : bit == s_tls ? FindCertificate(index)
            : null;
    }

    private void Replace(Type key, object? feature)
    {
        _revision++;
        var index = IndexOf(key);
        if (index < 0)
        {
            ReplaceExtra(key, feature);
            return;
        }

        _features[index] = feature;
        _replaced |= 1UL << index;
    }

    private object? FindExtra(Type key)
    {
        if (_extras is { } extras)
        {
            foreach (var extra in extras)
            {
                if (extra.Key == key)
                {
                    return extra.Value;
                }
            }
        }

        return null;
    }

    private void ReplaceExtra(Type key, object? feature)
    {
        _extras?.RemoveAll(extra => extra.Key == key);
        if (feature is not null)
        {
            (_extras ??= new(4)).Add(new(key, feature));
        }
    }

    private void BeginFeatures()
    {
        // A late writer of the request before may have put something here after its end.
        EndFeatures();
        _revision++;
        if (!_settings.WebSockets)
        {
            _replaced |= s_upgrade;
        }
    }

    private void EndFeatures()
    {
        if (_replaced != 0)
        {
            Array.Clear(_features);
            _replaced = 0;
        }

        _extras?.Clear();
        _routeValues = null;
        ((IEndpointFeature)this).Endpoint = null;
    }
}
